//! The server.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::{Status, codegen::Service};
use tonic_prost::ProstCodec;

use crate::{MESSAGE_SIZE_MAX, METHOD, Request, Response, Result};

/// Answers calls at `socket` until the process is ended.
pub(crate) async fn serve(socket: &str) -> Result<()> {
    let listener = UnixListener::bind(socket)?;
    println!("ready");
    let incoming = UnixListenerStream::new(listener);
    Ok(Server::builder().add_service(Interface).serve_with_incoming(incoming).await?)
}

/// The service with its one method.
#[derive(Clone)]
struct Interface;

impl NamedService for Interface {
    const NAME: &'static str = "org.example.Interface";
}

impl Service<http::Request<Body>> for Interface {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_known = request.uri().path() == METHOD;
        Box::pin(async move {
            if !is_known {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::<Response, Request>::default())
                .max_decoding_message_size(MESSAGE_SIZE_MAX);
            Ok(grpc.unary(Method, request).await)
        })
    }
}

/// The method.
struct Method;

impl UnaryService<Request> for Method {
    type Response = Response;
    type Future = Ready<std::result::Result<tonic::Response<Response>, Status>>;

    fn call(&mut self, _: tonic::Request<Request>) -> Self::Future {
        ready(Ok(tonic::Response::new(Response { text: "Hello, caller!".to_owned() })))
    }
}
