//! What a release is built for runs on every gateway: each dialect is answered, and it ends by itself.

use tokio::task::LocalSet;
use turnpike_bench::{args::TrainOptions, train};

#[tokio::test]
async fn a_gateway_can_be_trained() {
    let options = TrainOptions { gateway: env!("CARGO_BIN_EXE_turnpike-gateway").into(), seconds: 0.3, requests: 1 };
    LocalSet::new().run_until(train::run(&options)).await.unwrap();
}
