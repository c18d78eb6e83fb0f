//! Names that become paths: none of them leads out of its directory.

use std::path::{Component, Path};

use mpac_core::scope::{is_safe, normalize};
use mpac_wire::SessionId;

use crate::registry::session_id;
use crate::store;
use crate::workspace::path::components;

/// Any text, as both.
pub fn any(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    of_a_handshake(&text);
    of_a_handshake(&format!("/session/{text}"));
    of_a_file(&text);
}

/// The path of a WebSocket handshake: the session in it has a directory of its own, below the others.
pub fn of_a_handshake(path: &str) {
    let Some(id) = session_id(path).and_then(|id| SessionId::new(id).ok()) else { return };
    let name = store::name(&id);
    let mut parts = Path::new(&name).components();
    assert!(matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)), "{name:?}");
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    assert!(name.bytes().all(is_plain) && name.len() <= 100, "{name:?}");
}

/// The name of a shared file: what the core lets through has a place below the workspace, and the place is what it says.
pub fn of_a_file(name: &str) {
    let normal = normalize(name);
    assert_eq!(normalize(&normal), normal, "it has an end");
    if !is_safe(&normal) {
        return;
    }
    // On systems with more special names fewer have a place.
    if let Some(parts) = components(&normal) {
        assert_eq!(parts.join("/"), *normal);
        assert!(
            Path::new(&*normal).components().all(|part| matches!(part, Component::Normal(_))),
            "{normal:?}"
        );
    }
}
