//! What every adapter of a port must do, run on every adapter there is. A suite is a list of sentences; a port's file holds them as functions
//! of a factory and then names the adapters.

/// One test per promise and adapter; `$make` is an async function that makes a fresh fixture.
macro_rules! run_on {
    ($adapter:ident, $make:path, [$($promise:ident),* $(,)?]) => {
        mod $adapter {
            $(
                #[tokio::test(start_paused = true)]
                async fn $promise() {
                    super::$promise(&$make().await).await;
                }
            )*
        }
    };
}

mod archive;
mod ledger;
mod queue;
