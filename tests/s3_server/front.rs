//! What stands before S3: a request is passed on, or meets the fault that was drawn for it.
//!
//! A connection is closed by failing the request: the server then ends it without an answer, in the middle of one if it has begun.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::TryStreamExt;
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use s3s::service::S3Service;
use s3s::{Body, HttpError, StdError};

use super::faults::{Faults, Mode};

/// Answers a request, or does not.
pub(crate) async fn answer(request: Request<Incoming>, s3: S3Service, faults: Arc<Faults>) -> Result<Response<Body>, HttpError> {
    let (mode, hang) = faults.draw();
    let request = request.map(Body::from);
    let upload_bytes = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
    let is_counted = match mode {
        Mode::Truncate => upload_bytes > 0,
        _ => true,
    };
    if is_counted {
        faults.count(mode);
    }
    match mode {
        Mode::None => s3.call(request).await,
        Mode::Refuse => Err(closed("refuse")),
        Mode::Error500 => unavailable(request, StatusCode::INTERNAL_SERVER_ERROR, "InternalError").await,
        Mode::SlowDown => unavailable(request, StatusCode::SERVICE_UNAVAILABLE, "SlowDown").await,
        Mode::Truncate if upload_bytes > 0 => {
            read(request.into_body(), upload_bytes / 2).await?;
            Err(closed("truncate"))
        }
        Mode::Truncate => Ok(halved(s3.call(request).await?, &faults)),
        Mode::Hang => {
            tokio::time::sleep(hang).await;
            Err(closed("hang"))
        }
        Mode::Late => {
            read(s3.call(request).await?.into_body(), u64::MAX).await?;
            Err(closed("late"))
        }
    }
}

fn closed(fault: &'static str) -> HttpError {
    HttpError::new(format!("the connection is closed by the fault `{fault}`").into())
}

/// An S3 error. The request is read first, so that the client sees the answer and not a broken pipe.
async fn unavailable(request: Request<Body>, status: StatusCode, code: &str) -> Result<Response<Body>, HttpError> {
    read(request.into_body(), u64::MAX).await?;
    let text =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>ordered by a test</Message></Error>");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(response)
}

/// Reads a body until it has given `bytes`, or ends.
async fn read(mut body: Body, bytes: u64) -> Result<(), HttpError> {
    let mut seen = 0;
    while seen < bytes
        && let Some(piece) = body.try_next().await.map_err(HttpError::new)?
    {
        seen += piece.len() as u64;
    }
    Ok(())
}

/// The answer with half of its body, after which the connection breaks; as it is when it has none.
fn halved(response: Response<Body>, faults: &Faults) -> Response<Body> {
    let named = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let has_body = !response.body().is_end_stream();
    let Some(bytes) = named.or(response.body().size_hint().exact()).filter(|bytes| has_body && *bytes > 0) else { return response };
    faults.count(Mode::Truncate);
    let (mut head, body) = response.into_parts();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    Response::from_parts(head, Body::http_body(Half { body, left: bytes / 2, has_paused: false }))
}

/// A body that fails after `left` bytes.
struct Half {
    body: Body,
    left: u64,
    /// The server flushes what it has when a body makes it wait, and throws it away when the body fails: so wait once, then fail.
    has_paused: bool,
}

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.left == 0 {
            if !std::mem::replace(&mut self.has_paused, true) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Some(Err("the body is cut by the fault `truncate`".into())));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else { return Poll::Ready(None) };
        let Ok(piece) = frame.into_data() else { return Poll::Ready(None) };
        let kept = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= kept as u64;
        Poll::Ready(Some(Ok(Frame::data(piece.slice(..kept)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
