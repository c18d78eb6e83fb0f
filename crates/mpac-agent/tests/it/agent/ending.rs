//! Intents and sessions that end by themselves.

use mpac_agent::agent::{Agent, ConnectOptions, Ended, Event};
use mpac_agent::error::AgentError;

use super::{Host, heard, on_a};
use crate::covers;

#[tokio::test]
async fn an_own_intent_whose_time_is_over_is_told() {
    covers!("INT-05");
    let host = Host::start(&[]).await;
    let (agent, mut events) = host.join("Ann").await;
    let mut short = on_a();
    short.ttl_sec = 1;
    let intent = agent.announce(short).await.unwrap().intent;
    let how = heard(&mut events, |event| match event {
        Event::OwnIntentEnded { intent_id, how } if intent_id == intent => Some(how),
        _ => None,
    });
    assert_eq!(how.await, Ended::Expired);
    assert!(agent.view().await.unwrap().intents.is_empty());
}

#[tokio::test]
async fn when_the_session_is_closed_everybody_is_told() {
    covers!("PAR-16");
    let host = Host::start(&[]).await;
    let (agent, mut events) = host.join("Ann").await;
    let other = agent.clone();
    host.stop.send(()).unwrap();
    heard(&mut events, |event| matches!(event, Event::SessionClosed { .. }).then_some(())).await;
    assert_eq!(events.next().await, None);
    for agent in [agent, other] {
        assert!(!agent.is_connected());
        assert!(matches!(agent.announce(on_a()).await, Err(AgentError::SessionClosed(_))));
        assert!(matches!(agent.view().await, Err(AgentError::SessionClosed(_))));
        assert!(agent.leave(Default::default()).await.is_err());
        assert_eq!(agent.events().next().await, None);
    }
}

#[tokio::test]
async fn nobody_joins_where_nobody_listens_or_a_secret_would_be_read() {
    covers!("PAR-21");
    let failed = Agent::connect(ConnectOptions::new("ws://127.0.0.1:1", "Ann")).await;
    assert!(matches!(failed, Err(AgentError::NobodyThere { .. })));
    let mut open = ConnectOptions::new("ws://example.org", "Ann");
    let secret = mpac_wire::Secret::new("hunter2");
    open.credential = Some(mpac_wire::Credential::new(mpac_wire::names::CredentialType::ApiKey, secret));
    let failed = Agent::connect(open).await.unwrap_err();
    assert!(matches!(failed, AgentError::Usage(_)) && !failed.to_string().contains("hunter2"), "{failed}");
    assert!(matches!(
        Agent::connect(ConnectOptions::new("ws://127.0.0.1:1", " ")).await,
        Err(AgentError::Usage(_))
    ));
}
