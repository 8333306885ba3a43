#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engines/native/indirection.hpp"
#include "engines/native/kernels/igemm/igemm.hpp"
#include "support/aligned_buffer.hpp"

namespace qconv::engines {

/// Where kernels in tile registers read the pixels of their tiles: in the input itself, where 16 of them lie
/// equally far apart, or in copies made here, once for all blocks of columns.
class PixelRuns {
 public:
  struct Memory {
    Indirection::Source source;  ///< with `extent` zeros
    const std::uint8_t* end;     ///< of what may be read
    std::size_t bytes;           ///< of a pixel that matter: the channels of all groups
    std::size_t extent;          ///< of a pixel that are read, whatever the last of them are
    const igemm::TileUnit* unit;
  };

  /// Starts a chunk of at most so many tiles.
  void start(std::int64_t tiles, std::int64_t taps, std::size_t extent);

  /// Adds a tile's runs, [tap][2], and each tap's index; with `skip` without taps that lie in the padding for
  /// the whole tile. Returns how many there are.
  std::size_t add_tile(const Indirection& indirection, const Memory& memory,
                       std::span<const Segment> segments, bool skip, std::uint32_t* tap_indices);

  /// Whether so many neighbouring tiles, of which this is the first, find all they read in the input: for a
  /// tile that reads no padding along the width.
  static bool in_place(const Indirection& indirection, const Memory& memory, const Segment& tile,
                       std::int64_t tiles);

  /// The second run of every pair goes on where the first ends, of pixels so far apart.
  void continue_runs(std::int64_t step);

  std::size_t size() const noexcept { return runs_.size(); }
  const igemm::PixelRun* data() const noexcept { return runs_.data(); }

 private:
  struct Run {
    igemm::PixelRun pixels;
    bool any;  // lies outside of zero padding
  };
  Run make_run(const Indirection& indirection, const Memory& memory, const std::vector<Segment>& segments,
               std::int64_t row_tap, std::int64_t width_tap);

  std::vector<igemm::PixelRun> runs_;
  std::array<std::vector<Segment>, 2> segments_;  // of the outputs of each run of a tile
  AlignedBuffer<std::uint8_t> copies_;
  std::size_t used_ = 0;  // bytes of them
};

}  // namespace qconv::engines
