//! Compiles the messages of `proto/` in Rust alone: no `protoc` is needed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "relucent/v1/recovery_service.proto",
        "foxglove/RawImage.proto",
        "foxglove/CameraCalibration.proto",
        "foxglove/PointCloud.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut bare = descriptors.clone(); // logs embed it: without comments
    bare.file
        .iter_mut()
        .for_each(|file| file.source_code_info = None);
    std::fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&bare),
    )?;
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    config.bytes(["."]); // payloads are views of the message they came in
    #[cfg(feature = "serve")]
    config.service_generator(
        tonic_prost_build::configure()
            .codec_path("crate::wire::Checked")
            .service_generator(),
    );
    config.compile_fds(descriptors)?;
    Ok(())
}
