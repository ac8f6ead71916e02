// The engine is the official C API as it is: this crate pins its version (Cargo.lock)
// and its features (Cargo.toml), adds the settings of Config that the C API leaves
// out, and makes one static library.
use wasmtime_c_api::wasmtime::Config;
pub use wasmtime_c_api::*;

/// # Safety
/// `config` is from wasm_config_new(). It is repr(C) with a Config as its only field.
unsafe fn config_of<'a>(config: *mut wasm_config_t) -> &'a mut Config {
    const { assert!(size_of::<wasm_config_t>() == size_of::<Config>()) };
    unsafe { &mut *config.cast::<Config>() }
}

/// Whether tables are filled as they are used, or once, at instantiation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brig_config_table_lazy_init_set(config: *mut wasm_config_t, lazy: bool) {
    unsafe { config_of(config) }.table_lazy_init(lazy);
}

/// Whether compiled code says which of its addresses come from where in the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brig_config_address_map_set(config: *mut wasm_config_t, kept: bool) {
    unsafe { config_of(config) }.generate_address_map(kept);
}
