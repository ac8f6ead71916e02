// The engine is the official C API as it is: this crate only pins its version
// (Cargo.lock) and its features (Cargo.toml), and makes one static library.
pub use wasmtime_c_api::*;
