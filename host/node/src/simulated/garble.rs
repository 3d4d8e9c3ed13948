//! Garbled answers: bytes in place of the gRPC server's answer.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service as TowerService};

use super::faults::{Answer, Method};
use super::service::Service;

/// A layer that puts [`Garbling`] in front of the server.
#[derive(Clone, Debug)]
pub(super) struct Garbles {
    pub(super) service: Service,
}

impl<S> Layer<S> for Garbles {
    type Service = Garbling<S>;

    fn layer(&self, inner: S) -> Garbling<S> {
        Garbling { inner, service: self.service.clone() }
    }
}

/// A service that garbles the answers to some calls, and passes on all others.
#[derive(Clone, Debug)]
pub(super) struct Garbling<S> {
    inner: S,
    service: Service,
}

impl<S, B> TowerService<Request<B>> for Garbling<S>
where
    S: TowerService<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = Method::of_path(request.uri().path());
        match method.and_then(|method| self.service.store().garbled(method)) {
            Some(answer) => Either::Left(ready(Ok(garbled(answer)))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}

fn garbled(answer: Answer) -> Response<Body> {
    // A gRPC message begins with a zero byte and its length in four bytes.
    let (kind, body) = match answer {
        Answer::Nonsense => ("application/grpc", "\0\0\0\0\u{6}\u{7}\u{7}\u{7}\u{7}\u{7}\u{7}"),
        Answer::CutOff => ("application/grpc", "\0\0\0\0\u{40}\u{a}\u{30}"),
        Answer::TooLarge => ("application/grpc", "\0\u{40}\0\0\0\u{a}"),
        Answer::WebPage => ("text/html", "<html>Welcome!</html>"),
    };
    let mut response = Response::new(Body::new(body.to_owned()));
    let kind = tonic::codegen::http::HeaderValue::from_static(kind);
    response.headers_mut().insert("content-type", kind);
    response
}
