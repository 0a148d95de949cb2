//! What a future comes to without waiting.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls `future` once. `None` if it would have to wait; what it had begun is then given up.
pub(super) async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
