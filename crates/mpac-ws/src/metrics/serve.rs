//! The port for scrapers: `/metrics` and `/healthz`, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry as Metrics;
use tokio::net::TcpListener;
use tracing::{error, info};

use super::Meters;
use crate::control::serve::once;
use crate::error::Error;
use crate::listen::Port;
use crate::listen::doors::Doors;
use crate::registry::Registry;

/// What scrapers are told it is.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Connections at once. Each is an open file that the logs of sessions cannot have, and nobody needs more.
const SCRAPERS: u32 = 16;

/// A port that is taken and not served yet.
#[derive(Debug)]
pub(crate) struct Metered {
    listener: TcpListener,
    address: SocketAddr,
}

struct Watched {
    registry: Arc<Registry>,
    metrics: Metrics,
    /// Inputs that wait for their sessions.
    waiting: Gauge,
}

impl Metered {
    /// Takes the port.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let failed = |source| Error::Metrics { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it is.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as it is polled; each connection once, and if that is done `within` so long.
    pub(crate) async fn run(self, registry: Arc<Registry>, within: Duration) {
        info!("metrics at http://{}/metrics", self.address);
        let mut metrics = Metrics::with_prefix("mpac");
        registry.meters().register(&mut metrics);
        if let Some(store) = registry.store() {
            store.durable().meter().register(&mut metrics);
        }
        let waiting = Gauge::default();
        metrics.register("queued_inputs", "Inputs that wait for their sessions", waiting.clone());
        let app = Router::new()
            .route("/metrics", get(scrape))
            .route("/healthz", get(async || "ok\n"))
            .layer(map_response(once))
            .with_state(Arc::new(Watched { registry, metrics, waiting }));
        // Meters of its own: who scrapes is none of those that are counted. And nobody lifts the time limit.
        let port =
            Port::open(self.listener, None, (Doors::new(SCRAPERS, SCRAPERS), Meters::default()), within);
        if let Err(error) = axum::serve(port, app).await {
            error!("metrics are not served any more: {error}");
        }
    }
}

async fn scrape(State(watched): State<Arc<Watched>>) -> Response {
    watched.waiting.set(i64::try_from(watched.registry.waiting()).unwrap_or(i64::MAX));
    let mut text = String::new();
    match encode(&mut text, &watched.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
