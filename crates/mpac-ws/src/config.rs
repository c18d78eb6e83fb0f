//! Flags and an optional TOML file, merged into one [`Settings`].
//!
//! The file's keys are turned into flags that stand before the real ones, so names, types, ranges and defaults are written
//! once, in [`crate::cli`], and a flag wins because it comes last.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use toml::Value;

use crate::cli::standby::{Rest, Standby};
use crate::cli::{Security, Settings};
use crate::error::{Error, one_line};

/// Keys whose text is a path, or may be one.
const PATHS: [&str; 11] = [
    "workspace",
    "data_dir",
    "archive_dir",
    "role_policy",
    "session_config",
    "tls_cert",
    "tls_key",
    "signing_key",
    "trust_anchors",
    "keys",
    "jwks",
];
/// Flags that make no sense inside a file.
const NOT_IN_FILES: [&str; 4] = ["config", "help", "version", "take_back"];

/// Reads the command line, `args[0]` being the program, and the file it names with `--config`.
///
/// # Errors
/// [`Error::Usage`] for the command line (and for `--help`), the `Config…` variants for the file, and the combinations of
/// options that cannot work together.
pub fn load<I, T>(args: I) -> Result<Settings, Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let flags: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let mut settings = Settings::try_parse_from(&flags)?;
    if let Some(path) = settings.config.clone() {
        let mut all: Vec<OsString> = flags.iter().take(1).cloned().collect();
        all.extend(flags_in(&path, &settings)?);
        all.extend(flags.into_iter().skip(1));
        settings = Settings::try_parse_from(all)?;
    }
    checked(settings)
}

/// The same for a standby, whose options are those of a server and some more.
///
/// # Errors
/// As [`load`].
pub fn standby(rest: &Rest) -> Result<Standby, Error> {
    let mut standby = Standby::read(rest)?;
    if let Some(path) = standby.server.config.clone() {
        let mut options = flags_in(&path, &standby.server)?;
        options.extend(rest.options.iter().cloned());
        standby = Standby::read(&Rest { options })?;
    }
    standby.server = checked(standby.server)?;
    Ok(standby)
}

/// Options that cannot work together.
fn checked(settings: Settings) -> Result<Settings, Error> {
    if let Some(id) = settings.session.as_ref().filter(|id| settings.multi_session && !fits_path(id)) {
        return Err(Error::SessionPath { id: id.clone() });
    }
    whole(&settings.security)?;
    match (settings.write_back, &settings.workspace, settings.multi_session) {
        (true, None, _) => Err(Error::WriteBackWhere),
        (true, Some(_), true) => Err(Error::WriteBackMany),
        _ => Ok(settings),
    }
}

/// What only works with another option has it. Looked at here and not by clap: one may stand in the file, the other on the
/// command line, which may also take back what the file says.
fn whole(security: &Security) -> Result<(), Error> {
    let Security { tls_cert, tls_key, tls_self_signed, jwt_issuer, jwt_audience, jwks, .. } = security;
    if *tls_self_signed && tls_cert.is_some() {
        return Err(Error::TwoCertificates);
    }
    let needs = [
        ("--tls-cert", tls_cert.is_some(), "--tls-key", tls_key.is_some()),
        ("--tls-key", tls_key.is_some(), "--tls-cert", tls_cert.is_some()),
        ("--jwt-issuer", jwt_issuer.is_some(), "--jwks", jwks.is_some()),
        ("--jwks", jwks.is_some(), "--jwt-issuer", jwt_issuer.is_some()),
        ("--jwt-audience", jwt_audience.is_some(), "--jwt-issuer", jwt_issuer.is_some()),
    ];
    match needs.into_iter().find(|(_, given, _, other)| *given && !other) {
        Some((option, _, missing, _)) => Err(Error::Half { option, missing }),
        None => Ok(()),
    }
}

/// Whether `/session/<id>` leads to this id, which is taken from the URL as it is written (`spec/wire.md` §1.1).
fn fits_path(id: &str) -> bool {
    // Clients take these for steps up and down the path.
    let dots = id.to_ascii_lowercase().replace("%2e", ".");
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte));
    // A per cent sign is one where two digits follow; others are written as %25 by clients, which is another id.
    let escapes = id
        .split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    dots != "." && dots != ".." && escapes && plain
}

/// What the file says, but for a list that the command line, `given`, has too: that would only be added to it.
fn flags_in(path: &Path, given: &Settings) -> Result<Vec<OsString>, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::ConfigRead { path: path.to_owned(), source })?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| syntax(path, &text, &error))?;
    let command = Settings::command();
    let names: Vec<&str> = command
        .get_arguments()
        .map(|arg| arg.get_id().as_str())
        .filter(|name| !NOT_IN_FILES.contains(name))
        .collect();
    let mut flags = Vec::new();
    for (key, value) in &table {
        if !names.contains(&key.as_str()) {
            let meant = closest(key, &names).map(str::to_owned);
            return Err(Error::ConfigKey { path: path.to_owned(), key: key.clone(), meant });
        }
        let wrong = |reason| Error::ConfigValue { path: path.to_owned(), key: key.clone(), reason };
        for text in texts(key, value, path).map_err(wrong)? {
            let flag = format!("--{}={text}", key.replace('_', "-"));
            // Alone, so that the error can be blamed on this key of the file and not on the command line.
            Settings::try_parse_from(["mpac-ws", &flag]).map_err(|error| wrong(one_line(&error)))?;
            if key != "allow_origin" || given.allow_origin.is_empty() {
                flags.push(flag.into());
            }
        }
    }
    Ok(flags)
}

/// The flag's text, or texts for a list.
fn texts(key: &str, value: &Value, file: &Path) -> Result<Vec<String>, String> {
    Ok(vec![match value {
        Value::String(text) if PATHS.contains(&key) && !text.trim_start().starts_with('{') => {
            beside(file, text)
        }
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Array(items) if key == "allow_origin" => {
            return items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| "give a list of texts, as in [\"https://example.org\"]".to_owned());
        }
        Value::Table(table) if ["role_policy", "session_config"].contains(&key) => {
            serde_json::to_string(table).map_err(|error| error.to_string())?
        }
        Value::Array(_) | Value::Table(_) | Value::Datetime(_) => {
            return Err(format!("give one plain value here, this is: {}", value.type_str()));
        }
    }])
}

fn beside(file: &Path, text: &str) -> String {
    let path: PathBuf = file.parent().unwrap_or_else(|| Path::new("")).join(text);
    path.to_string_lossy().into_owned()
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let end = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1;
    Error::ConfigSyntax { path: path.to_owned(), line, message: error.message().replace('\n', "; ") }
}

/// The name a typing mistake away from `key`, if there is one.
pub(crate) fn closest<'a>(key: &str, names: &[&'a str]) -> Option<&'a str> {
    let key = key.replace('-', "_");
    let near = names.iter().map(|name| (strsim::damerau_levenshtein(&key, name), *name)).min()?;
    (near.0 <= 1 + key.len() / 4).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str, flags: &[&str]) -> Result<Settings, Error> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mpac.toml");
        std::fs::write(&file, text).unwrap();
        let mut args = vec!["mpac-ws".to_owned(), "--config".to_owned(), file.display().to_string()];
        args.extend(flags.iter().map(|&flag| flag.to_owned()));
        load(args)
    }

    fn complaint(text: &str) -> String {
        let error = with_file(text, &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    }

    #[test]
    fn without_arguments_the_server_is_local_open_and_empty() {
        let settings = load(["mpac-ws"]).unwrap();
        assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 8766));
        assert_eq!(settings.workspace, None);
        assert!(!settings.write_back && !settings.multi_session);
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let settings =
            with_file("port = 1234\nheartbeat_interval_sec = 7\nmulti_session = true", &["--port=9"])
                .unwrap();
        assert_eq!(
            (settings.port, settings.heartbeat_interval_sec, settings.multi_session),
            (9, mpac_wire::Seconds::whole(7), true)
        );
        let off = with_file("multi_session = true", &["--multi-session=false"]).unwrap();
        assert!(!off.multi_session);
        let file = "allow_origin = ['https://a.example', 'https://b.example']";
        let origins = |flags: &[&str]| with_file(file, flags).unwrap().allow_origin;
        assert_eq!(origins(&[]), ["https://a.example", "https://b.example"]);
        let flags = ["--allow-origin=https://b.example", "--allow-origin=https://c.example"];
        assert_eq!(origins(&flags), ["https://b.example", "https://c.example"], "and nobody else's pages");
    }

    #[test]
    fn a_path_in_the_file_starts_at_its_directory() {
        let settings = with_file("workspace = \"src\"", &[]).unwrap();
        let parent = settings.config.as_ref().unwrap().parent().unwrap().join("src");
        assert_eq!(settings.workspace, Some(parent));
    }

    #[test]
    fn a_role_policy_may_be_written_in_the_file() {
        let settings = with_file("[role_policy]\ndefault_role = \"owner\"", &[]).unwrap();
        assert_eq!(settings.role_policy.as_deref(), Some(r#"{"default_role":"owner"}"#));
    }

    #[test]
    fn further_settings_may_be_written_in_the_file() {
        let text = "[session_config]\nresolution_timeout_sec = 7\nliveness = { heartbeat_interval_sec = 5 }";
        let settings = with_file(text, &[]).unwrap();
        let expected = r#"{"liveness":{"heartbeat_interval_sec":5},"resolution_timeout_sec":7}"#;
        assert_eq!(settings.session_config.as_deref(), Some(expected));
    }

    #[test]
    fn a_mistyped_key_is_named_with_the_one_that_was_meant() {
        assert!(complaint("prot = 1").ends_with("unknown key `prot` (did you mean `port`?)"));
        assert!(complaint("max-sessions = 1").contains("did you mean `max_sessions`?"));
        assert!(complaint("colour = 1").contains("unknown key `colour` (see mpac-ws --help"));
        assert!(complaint("config = \"x\"").contains("unknown key `config`"));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_the_key_takes() {
        assert!(complaint("port = 70000").contains("`port`: invalid value '70000'"));
        assert!(
            complaint("security_profile = \"opne\"")
                .contains("[possible values: open, authenticated, verified]")
        );
        assert!(complaint("heartbeat_interval_sec = -1").contains("0 or more"));
        assert!(complaint("write_back = \"perhaps\"").contains("`write_back`"));
        assert!(complaint("port = [1]").contains("give one plain value here, this is: array"));
    }

    #[test]
    fn broken_toml_is_reported_with_its_line() {
        assert!(complaint("port = 1\nhost = \n").contains("line 2"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(["mpac-ws", "--config", "no-such.toml"]).unwrap_err().to_string();
        assert!(error.starts_with("config no-such.toml:") && error.contains("--config"), "{error}");
    }

    #[test]
    fn a_session_of_many_has_an_id_that_its_path_can_carry() {
        for id in ["team", "a.b_c-d~e", "a%20b", "x:y@z", "..."] {
            assert!(load(["mpac-ws", "--multi-session", "--session", id]).is_ok(), "{id}");
        }
        for id in ["team a", "a/b", "a?b", "a#b", "é", "50%", "a%2", "a%zz", ".", "..", "%2E%2e", "a\\b"] {
            let refused = load(["mpac-ws", "--multi-session", "--session", id]).unwrap_err();
            assert!(matches!(refused, Error::SessionPath { .. }), "{id}: {refused}");
            assert!(load(["mpac-ws", "--session", id]).is_ok(), "{id}: one session needs no path");
        }
    }

    #[test]
    fn write_back_needs_one_directory_of_one_session() {
        assert!(matches!(load(["mpac-ws", "--write-back"]), Err(Error::WriteBackWhere)));
        let many = load(["mpac-ws", "--write-back", "--workspace", ".", "--multi-session"]);
        assert!(matches!(many, Err(Error::WriteBackMany)));
    }

    #[test]
    fn what_belongs_together_may_stand_in_the_file_on_the_command_line_or_half_and_half() {
        let settings =
            with_file("tls_cert = 'c'\ntls_key = 'k'\njwks = 'j'\njwt_issuer = 'i'\njwt_audience = 'a'", &[])
                .unwrap();
        assert!(settings.security.tls_key.is_some() && settings.security.jwks.is_some());
        assert!(with_file("tls_key = 'k'", &["--tls-cert=c"]).is_ok());
        let own =
            with_file("tls_self_signed = true", &["--tls-self-signed=false", "--tls-cert=c", "--tls-key=k"]);
        assert!(!own.unwrap().security.tls_self_signed);
        for (text, told) in [
            ("tls_cert = 'c'", "--tls-cert needs --tls-key beside it"),
            ("tls_key = 'k'", "--tls-key needs --tls-cert beside it"),
            ("jwks = 'j'", "--jwks needs --jwt-issuer beside it"),
            ("jwt_issuer = 'i'", "--jwt-issuer needs --jwks beside it"),
            ("jwt_audience = 'a'", "--jwt-audience needs --jwt-issuer beside it"),
            ("tls_self_signed = true\ntls_cert = 'c'\ntls_key = 'k'", "choose one of the two"),
        ] {
            assert!(complaint(text).contains(told), "{text}");
        }
    }

    #[test]
    fn a_mistake_on_the_command_line_is_one_line_with_the_remedy() {
        let error = load(["mpac-ws", "--prot", "1"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(
            error.to_string(),
            "unexpected argument '--prot' found; tip: a similar argument exists: '--port' (see mpac-ws --help)"
        );
    }

    #[test]
    fn a_mistake_in_a_command_leads_to_the_help_of_that_command() {
        assert_eq!(
            load(["mpac-ws", "close"]).unwrap_err().to_string(),
            "the following required arguments were not provided: --session <ID> (see mpac-ws close --help)"
        );
        let error = load(["mpac-ws", "audit", "show", "--fil", "a"]).unwrap_err().to_string();
        assert!(error.ends_with("(see mpac-ws audit show --help)"), "{error}");
    }

    #[test]
    fn help_is_not_a_mistake() {
        assert_eq!(load(["mpac-ws", "--help"]).unwrap_err().exit_code(), 0);
    }
}
