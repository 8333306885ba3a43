#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/state_dict.hpp>
#include <qconv/tensor.hpp>

/// Files in and out. What all of them share:
/// - A reader checks every size that the file states against what the file holds before it takes memory for
///   it, and throws FileError, one line that begins with the file's name, for anything it cannot trust.
/// - A save is atomic: the bytes go to a temporary file in the same folder, which replaces the old one only
///   when all of them are on the disk. A save that fails leaves the old file whole and removes the temporary
///   one. Throws FileError when the folder cannot be written or the target is not a regular file.
/// - `decode_*` and `encode_*` are the same over memory; `name` is what errors call the bytes.
namespace qconv {

/// @name Any kind, by the end of the name
/// .pt and .pth (torch_file.hpp), .safetensors, .npz; in capitals too. Any other is a FileError that lists
/// them.
/// @{

QCONV_API StateDict load(const std::filesystem::path& path);
/// Undefined tensors are left out of .npz, which cannot hold them. Throws as the saver of that kind.
QCONV_API void save(const StateDict& state, const std::filesystem::path& path);
/// @}

/// @name safetensors
/// F32, F64, I64, I32, U8 and I8 tensors are float32, float64, int64, int32, uint8 and int8; any other dtype
/// is an error that names it. Quantized tensors are stored as their integers (quint8 as U8, qint8 as I8,
/// qint32 as I32), which any reader of the format can see, with their parameters in `__metadata__`:
///
///     "qconv.tensor.<name>": "{\"dtype\":\"qint8\",\"scheme\":\"per_channel_affine\",\"axis\":0,
///                              \"scale\":[0.5,0.25],\"zero_point\":[0,0]}"
///
/// `scheme` is per_tensor_affine (scale and zero_point are numbers, no axis) or per_channel_affine (lists,
/// one value per index of dimension `axis`). Scales are decimal texts that give back the same double. An
/// undefined tensor (a bias that is None) is the text "null" there and has no bytes.
/// @{

/// Text stored beside the tensors, by key.
using Metadata = std::map<std::string, std::string>;

/// The tensors in the order of the header, row major; undefined ones come last.
QCONV_API StateDict load_safetensors(const std::filesystem::path& path);
/// The metadata without the entries that qconv keeps there for itself; reads the header alone.
QCONV_API Metadata load_safetensors_metadata(const std::filesystem::path& path);
/// Throws ValueError for a tensor called "__metadata__", a metadata key that begins with "qconv." (reserved),
/// or text that is not UTF-8.
QCONV_API void save_safetensors(const StateDict& state, const std::filesystem::path& path,
                                const Metadata& metadata = {});
QCONV_API StateDict decode_safetensors(std::span<const std::byte> bytes,
                                       std::string_view name = "safetensors");
QCONV_API std::vector<std::byte> encode_safetensors(const StateDict& state, const Metadata& metadata = {});
/// @}

/// @name numpy
/// Arrays of float32, float64, int32, int64, uint8 and int8, of at most 8 dimensions; big-endian and
/// Fortran-ordered ones are converted. Any other dtype is an error that names it.
/// @{

QCONV_API Tensor load_npy(const std::filesystem::path& path);
/// Row major, little endian, format version 1.0. Throws TypeError for a quantized tensor, whose parameters
/// .npy cannot hold (save its int_repr() or dequantize(), or use safetensors), and ValueError for an
/// undefined one.
QCONV_API void save_npy(const Tensor& tensor, const std::filesystem::path& path);
QCONV_API Tensor decode_npy(std::span<const std::byte> bytes, std::string_view name = "npy");
QCONV_API std::vector<std::byte> encode_npy(const Tensor& tensor);

/// Named arrays, in the order of the archive.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// What numpy.savez and numpy.savez_compressed write: a zip archive of "<name>.npy". An entry must be exactly
/// as long as its array header says. Against zip bombs: no entry may claim to expand more than deflate can
/// (1032 times), and all together no more than 256 MiB plus 100 times the size of the archive.
QCONV_API NamedTensors load_npz(const std::filesystem::path& path);
/// As numpy.savez: not compressed. Throws as save_npy, and ValueError for an empty or repeated name.
QCONV_API void save_npz(const NamedTensors& arrays, const std::filesystem::path& path);
QCONV_API NamedTensors decode_npz(std::span<const std::byte> bytes, std::string_view name = "npz");
QCONV_API std::vector<std::byte> encode_npz(const NamedTensors& arrays);
/// @}

/// @name Images
/// Built with QCONV_WITH_IMAGES=OFF, every one of these throws FileError naming that option.
/// @{

/// A PNG or JPEG file, told apart by its first bytes, as a uint8 tensor of sizes (1, C, H, W) in
/// channels-last memory: C is 1 for grey images and 3 (red, green, blue) for all others. Palettes are
/// expanded, 16-bit samples scaled to 8 bits, and an alpha channel is dropped without blending, as Pillow's
/// convert("RGB") does. Gamma, colour profiles and the EXIF orientation are not applied. Four-colour (CMYK)
/// JPEG is refused, and so is a damaged or truncated file. At most 65500 pixels on a side and 2^28 in all,
/// and no more than 2^22 plus 8192 for every byte of the file.
QCONV_API Tensor load_image(const std::filesystem::path& path);
/// Writes a uint8 tensor of sizes (C, H, W) or (1, C, H, W), C = 1 or 3, as an 8-bit PNG. Throws TypeError
/// for another dtype and ValueError for other sizes.
QCONV_API void save_png(const Tensor& image, const std::filesystem::path& path);
QCONV_API Tensor decode_image(std::span<const std::byte> bytes, std::string_view name = "image");
QCONV_API std::vector<std::byte> encode_png(const Tensor& image);
/// @}

}  // namespace qconv
