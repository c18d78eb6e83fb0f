//! Shared files that are perhaps not meant for everybody who joins.

use super::Workspace;

/// Examples of settings, which are made to be handed on.
const EXAMPLES: [&str; 3] = [".example", ".sample", ".template"];

/// The names of files that hold secrets in most projects: settings in `.env`, and private keys.
pub(crate) fn of(workspace: &Workspace) -> impl Iterator<Item = &str> {
    workspace.files().filter(|(name, file)| looks_secret(name, &file.content)).map(|(name, _)| name)
}

fn looks_secret(name: &str, content: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let settings = file.starts_with(".env") && !EXAMPLES.iter().any(|example| file.ends_with(example));
    let key = file.ends_with(".pem") || file.ends_with(".key") || file.starts_with("id_");
    // Certificates and public keys have such names, too.
    settings || (key && content.contains("PRIVATE KEY-----"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_private_keys_are_told_from_what_may_be_read() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\n";
        for (name, content) in [
            (".env", ""),
            ("web/.env.local", "A=1"),
            ("ca/server.pem", key),
            ("id_ed25519", key),
            ("tls.key", key),
        ] {
            assert!(looks_secret(name, content), "{name}");
        }
        for (name, content) in [
            (".env.example", "A="),
            ("server.pem", certificate),
            ("id_ed25519.pub", "ssh-ed25519 AAAA"),
            ("id_map.py", "ids = {}"),
            ("notes.md", key),
            ("env.py", ""),
        ] {
            assert!(!looks_secret(name, content), "{name}");
        }
    }
}
