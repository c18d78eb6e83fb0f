//! Answers to what is not MPAC on the same socket: the list of files, their contents, the session's summary.
//! `spec/wire.md` §7.

use axum::extract::ws::Utf8Bytes;
use mpac_core::scope::normalize;
use mpac_wire::sideband::{
    FileContent, FileEntry, FileError, FileListResponse, FileUpdated, Request, SessionSummaryResponse,
    SidebandType, to_json,
};
use mpac_wire::{Content, Integer, PrincipalId};

use crate::workspace::{File, Workspace};

/// Answers FILE_LIST; a list that fits into no frame of `max_frame` bytes is an error like a file that does not (SRV-18).
///
/// What it costs is bounded by the frame, however much is shared.
pub(crate) fn file_list(workspace: &Workspace, max_frame: usize) -> Utf8Bytes {
    full_list(workspace, max_frame).map_or_else(|| file_error("", "too large"), Utf8Bytes::from)
}

/// Whether FILE_LIST can be answered.
pub(crate) fn list_fits(workspace: &Workspace, max_frame: usize) -> bool {
    full_list(workspace, max_frame).is_some()
}

fn full_list(workspace: &Workspace, max_frame: usize) -> Option<String> {
    let (mut entries, mut least) = (Vec::new(), 0);
    for (path, file) in workspace.files() {
        // Escapes and all that is between make an entry longer, and nothing makes it shorter.
        least += path.len() + file.state_ref.as_str().len();
        if least > max_frame {
            return None;
        }
        entries.push(FileEntry::new(path.to_owned(), file.state_ref.clone(), Integer::from(file.size)));
    }
    let list = to_json(&FileListResponse::new(SidebandType::FileListResponse, entries));
    (list.len() <= max_frame).then_some(list)
}

/// Answers FILE_READ; `path` is as it was asked for.
pub(crate) fn file_read(workspace: &Workspace, path: Option<&str>, max_frame: usize) -> Utf8Bytes {
    let Some(path) = path else { return file_error("", "missing path") };
    // Only shared names are keys, so a path that leads out is simply not among them.
    let Some(file) = workspace.get(&normalize(path)) else {
        return file_error(path, "File not found");
    };
    let content = file_content(path, file);
    if content.len() <= max_frame { content.into() } else { file_error(path, "too large") }
}

pub(crate) fn file_content(path: &str, file: &File) -> String {
    to_json(&FileContent::new(
        SidebandType::FileContent,
        path.to_owned(),
        Content::from(&*file.content),
        file.state_ref.clone(),
    ))
}

pub(crate) fn file_error(path: &str, error: &str) -> Utf8Bytes {
    // A path long enough to make the answer too large is not worth repeating.
    let path = if path.len() > 4096 { "" } else { path };
    to_json(&FileError::new(SidebandType::FileError, path.to_owned(), error.to_owned())).into()
}

/// Tells everybody that a commit changed a file (OCC-07).
pub(crate) fn file_updated(path: &str, file: &File, by: &PrincipalId) -> Utf8Bytes {
    to_json(&FileUpdated::new(SidebandType::FileUpdated, path.to_owned(), file.state_ref.clone(), by.clone()))
        .into()
}

/// The answer to a request about the shared files.
pub(crate) fn answer(request: &Request, workspace: &Workspace, max_frame: usize) -> Utf8Bytes {
    match request {
        Request::FileList => file_list(workspace, max_frame),
        Request::FileRead { path } => file_read(workspace, path.as_deref(), max_frame),
        // The core answers what it knows itself; a request it hands on without need has no file in it.
        _ => file_error("", "File not found"),
    }
}

/// An answer of the core with what only the host knows: the directory that is shared.
pub(crate) fn complete(answer: &str, workspace: &Workspace, max_frame: usize) -> Utf8Bytes {
    let text = match (workspace.dir(), serde_json::from_str::<SessionSummaryResponse>(answer)) {
        (Some(dir), Ok(mut response)) if response.session.error.is_none() => {
            response.session.workspace_dir = Some(dir.display().to_string());
            to_json(&response)
        }
        _ => answer.to_owned(),
    };
    if text.len() <= max_frame { text.into() } else { file_error("", "too large") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 1_048_576;

    fn workspace(files: &[(&str, &str)]) -> Workspace {
        let mut workspace = Workspace::default();
        for (path, content) in files {
            workspace.put(path, File::new((*content).into()));
        }
        workspace
    }

    #[test]
    fn the_list_is_sorted_by_code_point_and_counts_code_points() {
        let files = workspace(&[("b", "héllo"), ("Z", ""), ("\u{1F600}", "x"), ("\u{FF5E}", "y")]);
        assert_eq!(
            file_list(&files, FRAME).as_str(),
            concat!(
                r#"{"type":"FILE_LIST_RESPONSE","files":[{"path":"Z","state_ref":"sha256:e3b0c44298fc1c14","size":0},"#,
                r#"{"path":"b","state_ref":"sha256:3c48591d8d098a45","size":5},"#,
                "{\"path\":\"\u{FF5E}\",\"state_ref\":\"sha256:a1fce4363854ff88\",\"size\":1},",
                "{\"path\":\"\u{1F600}\",\"state_ref\":\"sha256:2d711642b726b044\",\"size\":1}]}"
            )
        );
    }

    #[test]
    fn a_file_is_read_as_it_is() {
        let files = workspace(&[("a.py", "x\r\n")]);
        for asked in ["a.py", "./a.py", ".//a.py/"] {
            let answer = file_read(&files, Some(asked), FRAME);
            let start =
                format!(r#"{{"type":"FILE_CONTENT","path":"{asked}","content":"x\r\n","state_ref":"sha256:"#);
            assert!(answer.starts_with(&start), "{answer}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_the_path_that_was_asked() {
        let files = workspace(&[("a.py", "x")]);
        for asked in ["b.py", "../a.py", "/a.py", "../../etc/passwd", "a\\.py", ""] {
            let error =
                FileError::new(SidebandType::FileError, asked.to_owned(), "File not found".to_owned());
            assert_eq!(file_read(&files, Some(asked), FRAME).as_str(), to_json(&error));
        }
        assert_eq!(
            file_read(&files, None, FRAME).as_str(),
            r#"{"type":"FILE_ERROR","path":"","error":"missing path"}"#
        );
    }

    #[test]
    fn what_fits_into_no_frame_is_too_large() {
        let files = workspace(&[("a.py", &"\n".repeat(100))]);
        let error = r#"{"type":"FILE_ERROR","path":"a.py","error":"too large"}"#;
        assert_eq!(file_read(&files, Some("a.py"), 200).as_str(), error);
        let list = file_list(&files, FRAME);
        let too_large = r#"{"type":"FILE_ERROR","path":"","error":"too large"}"#;
        for less in [1, 40, list.len()] {
            assert_eq!(file_list(&files, list.len() - less).as_str(), too_large, "of {}", list.len());
        }
        assert_eq!(file_list(&files, list.len()), list);
    }
}
