//! The thin layer between the SDK and the tools.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, ResourceContents, ResourceUpdatedNotificationParam,
    ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, Peer, RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};
use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::bridge::Bridge;
use super::resource::Resource;
use super::tool;

type Subscribed = Arc<Mutex<BTreeSet<&'static str>>>;

/// One host.
#[derive(Debug)]
pub(super) struct Server {
    bridge: Arc<Bridge>,
    /// The resources whose updates it wants, by the way before 2026-07-28.
    subscribed: Subscribed,
}

impl Server {
    pub(super) fn new(bridge: Arc<Bridge>) -> Self {
        Self { bridge, subscribed: Subscribed::default() }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .build();
        let name = Implementation::new("mpac-agent", env!("CARGO_PKG_VERSION")).with_title("MPAC session");
        ServerConfig::new(capabilities).with_server_info(name).with_instructions(tool::INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tool::all()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let answer = tokio::select! {
            answer = tool::call(&self.bridge, &request.name, arguments) => answer,
            // Its future is dropped: an announce that nobody waits for any more is withdrawn.
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("cancelled by the host", None));
            }
        };
        let Some(answer) = answer else {
            return Err(ErrorData::invalid_params(
                format!("there is no tool {:?}; tools/list has them all", request.name),
                None,
            ));
        };
        let mut result = CallToolResult::success(vec![ContentBlock::text(answer.text)]);
        result.structured_content = Some(answer.value);
        result.is_error = Some(answer.is_error);
        Ok(result.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let described = |it: Resource| {
            rmcp::model::Resource::new(it.uri(), it.name())
                .with_description(it.description())
                .with_mime_type("application/json")
        };
        Ok(ListResourcesResult::with_all_items(Resource::ALL.into_iter().map(described).collect()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let resource = known(&request.uri)?;
        let failed = |error: crate::error::AgentError| ErrorData::internal_error(error.to_string(), None);
        let agent = self.bridge.agent().await.map_err(failed)?;
        let view = agent.view().await.map_err(failed)?;
        let contents = ResourceContents::text(resource.of(&view).to_string(), resource.uri());
        Ok(ReadResourceResult::new(vec![contents.with_mime_type("application/json")]).into())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let resource = known(&request.uri)?;
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).insert(resource.uri());
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let resource = known(&request.uri)?;
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).remove(resource.uri());
        Ok(())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        tokio::spawn(notify(self.bridge.updates(), context.peer, self.subscribed.clone()));
    }

    /// From 2026-07-28 on: all that was asked for and is there.
    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut updates = self.bridge.updates();
        loop {
            let changed = tokio::select! {
                changed = next(&mut updates) => changed,
                () = context.cancelled() => return Ok(()),
            };
            for resource in changed {
                // It refuses those that were not asked for; and who does not listen any more has heard enough.
                let _ = context.sink().notify_resource_updated(resource.uri()).await;
            }
        }
    }
}

fn known(uri: &str) -> Result<Resource, ErrorData> {
    let unknown = || {
        let uris: Vec<&str> = Resource::ALL.into_iter().map(Resource::uri).collect();
        ErrorData::resource_not_found(
            format!("there is no resource {uri}"),
            Some(json!({ "resources": uris })),
        )
    };
    Resource::named(uri).ok_or_else(unknown)
}

/// Tells a host of what it has subscribed to.
async fn notify(mut updates: broadcast::Receiver<Resource>, peer: Peer<RoleServer>, subscribed: Subscribed) {
    loop {
        for resource in next(&mut updates).await {
            let uri = resource.uri();
            if !subscribed.lock().unwrap_or_else(PoisonError::into_inner).contains(uri) {
                continue;
            }
            if peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_err() {
                return;
            }
        }
    }
}

/// The resources that changed next, each once; all of them when some were missed.
async fn next(updates: &mut broadcast::Receiver<Resource>) -> Vec<Resource> {
    let first = match updates.recv().await {
        Ok(resource) => resource,
        Err(RecvError::Lagged(_)) => return Resource::ALL.to_vec(),
        // The bridge is gone, and the program with it.
        Err(RecvError::Closed) => return std::future::pending().await,
    };
    let mut changed = vec![first];
    while let Ok(resource) = updates.try_recv() {
        if !changed.contains(&resource) {
            changed.push(resource);
        }
    }
    changed
}
