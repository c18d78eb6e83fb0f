//! Certificates and whoever vouches for them: what ends a membership, and what proves that a certificate is one's own.

use std::fs;

use super::people::{Authority, outcome};
use super::verified::{connected, joined, server};
use super::{command, place};
use crate::covers;

#[tokio::test]
async fn whoever_is_in_by_an_authority_that_is_not_trusted_any_more_is_put_out() {
    let dir = place();
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let (ann, bob) = (first.issue("agent:ann"), second.issue("agent:bob"));
    let mut both = Authority::new("unused");
    both.pem = format!("{}{}", first.pem, second.pem);
    let host = server(dir.path(), &both, &[]).await;
    let (mut anns, _) = joined(&host, &ann).await;
    let (mut bobs, _) = joined(&host, &bob).await;
    fs::write(dir.path().join("anchors.pem"), "rubbish").unwrap();
    bobs.client.is_alive().await; // what cannot be read changes nothing
    fs::write(dir.path().join("anchors.pem"), &first.pem).unwrap();
    assert_eq!(bobs.client.close_code().await, 1008);
    anns.client.is_alive().await;
    let answer = connected(&host, &bob).await.hello(bob.credential()).await;
    assert_eq!(outcome(&answer), "CREDENTIAL_REJECTED");
}

#[tokio::test]
async fn what_is_said_of_a_single_certificate_stands_over_its_chain() {
    covers!("ROL-10");
    let dir = place();
    let authority = Authority::new("authority");
    let (ann, bob, data) =
        (authority.issue("agent:ann"), authority.issue("agent:bob"), dir.path().join("data"));
    let mut fingerprints = Vec::new();
    for (person, role) in [(&ann, "observer"), (&bob, "contributor")] {
        let file = dir.path().join("one.pem");
        fs::write(&file, &person.chain).unwrap();
        let words = [
            "token",
            "trust",
            &person.name,
            &format!("--certificate={}", file.display()),
            &format!("--role={role}"),
        ];
        fingerprints.push(command(&data, &words).unwrap().split(' ').next().unwrap().to_owned());
    }
    let host = server(dir.path(), &authority, &[]).await;
    let answer = connected(&host, &ann).await.hello(ann.credential()).await;
    assert_eq!(outcome(&answer), "AUTHORIZATION_FAILED", "she asks for another role: {answer}");
    let (mut bobs, _) = joined(&host, &bob).await;
    command(&data, &["token", "revoke", &fingerprints[1]]).unwrap();
    assert_eq!(bobs.client.close_code().await, 1008);
    let answer = connected(&host, &bob).await.hello(bob.credential()).await;
    assert_eq!(outcome(&answer), "CREDENTIAL_REJECTED");
}
