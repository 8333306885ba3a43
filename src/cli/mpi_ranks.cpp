#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <mpi.h>

#include <qconv/io.hpp>

#include "cli/command.hpp"
#include "cli/ranks.hpp"

namespace qconv::cli {
namespace {

// MPI's own errors end all ranks (MPI_ERRORS_ARE_FATAL, its default), so no call's result is looked at.

enum class Status : int { fine, failed, stopped };

constexpr int kNotice = 1;  // tags
constexpr int kState = 2;
// MPI counts in int.
constexpr std::size_t kPieceBytes = std::size_t{1} << 30;

// Waits asleep: MPI's own wait keeps a core busy, which ranks of the same machine may be computing on.
void await(MPI_Request& request) {
  for (int done = 0;;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

template <class Move>
void in_pieces(std::byte* data, std::size_t bytes, const Move& move) {
  for (std::size_t at = 0; at < bytes; at += kPieceBytes) {
    move(data + at, static_cast<int>(std::min(kPieceBytes, bytes - at)));
  }
}

void send_state(std::vector<std::byte> bytes) {
  std::uint64_t size = bytes.size();
  MPI_Send(&size, 1, MPI_UINT64_T, 0, kState, MPI_COMM_WORLD);
  in_pieces(bytes.data(), bytes.size(),
            [](std::byte* piece, int count) { MPI_Send(piece, count, MPI_BYTE, 0, kState, MPI_COMM_WORLD); });
}

std::vector<std::byte> receive_state(int from) {
  std::uint64_t size = 0;
  MPI_Recv(&size, 1, MPI_UINT64_T, from, kState, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  std::vector<std::byte> bytes;
  try {
    bytes.resize(size);
  } catch (const std::exception&) {
    // Nobody can be told: the others are in the middle of sending.
    std::fputs("qconv: rank 0: out of memory\n", stderr);
    MPI_Abort(MPI_COMM_WORLD, kFailed);
  }
  in_pieces(bytes.data(), bytes.size(), [from](std::byte* piece, int count) {
    MPI_Recv(piece, count, MPI_BYTE, from, kState, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  });
  return bytes;
}

class MpiRanks : public Ranks {
 public:
  MpiRanks() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiRanks() override {
    // The last resort, for an end in the middle of everything: the others must not wait for this rank.
    if (!left_) MPI_Abort(MPI_COMM_WORLD, kFailed);
  }
  MpiRanks(const MpiRanks&) = delete;
  MpiRanks& operator=(const MpiRanks&) = delete;

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return size_; }

  void check_others() override {
    int there = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, kNotice, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
    if (there == 0) return;
    stopped_ = true;
    throw OtherRankFailed();
  }

  void gather(const StateDict& mine, const std::function<void(const StateDict&)>& take) override {
    std::vector<std::byte> bytes = encode_safetensors(mine);  // may throw: before the others count on it
    if (!all_fine(Status::fine, {})) throw OtherRankFailed();
    if (!root()) {
      send_state(std::move(bytes));
      return;
    }
    // All states are received even if one cannot be taken: their senders wait for it.
    std::exception_ptr error;
    for (int from = 0; from < size_; ++from) {
      if (from != rank_) bytes = receive_state(from);
      if (error) continue;
      try {
        take(decode_safetensors(bytes, fmt::format("rank {}", from)));
      } catch (...) {
        error = std::current_exception();
      }
    }
    if (error) std::rethrow_exception(error);
  }

  Outcome settle(const Outcome& mine) override {
    if (over_) return outcome_;
    if (stopped_) {
      all_fine(Status::stopped, {});
    } else if (mine.code != kOk) {
      tell_others();
      all_fine(Status::failed, mine);
    } else {
      all_fine(Status::fine, {});
    }
    return outcome_;
  }

  void leave() override {
    // mpirun ends the others as soon as one has failed: not before the root has printed why.
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    await(request);
    MPI_Finalize();
    left_ = true;
  }

 private:
  // A message of no bytes that check_others() finds.
  void tell_others() {
    for (int to = 0; to < size_; ++to) {
      if (to == rank_) continue;
      notices_.push_back(MPI_REQUEST_NULL);
      MPI_Isend(nullptr, 0, MPI_BYTE, to, kNotice, MPI_COMM_WORLD, &notices_.back());
    }
  }

  // Takes all ranks: whether all are fine. If not, outcome_ becomes that of the first that failed.
  bool all_fine(Status status, const Outcome& mine) {
    const int own = static_cast<int>(status);
    std::vector<int> all(static_cast<std::size_t>(size_));
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallgather(&own, 1, MPI_INT, all.data(), 1, MPI_INT, MPI_COMM_WORLD, &request);
    await(request);
    const auto failed = [](int s) { return s == static_cast<int>(Status::failed); };
    const auto first = std::find_if(all.begin(), all.end(), failed);
    if (first == all.end()) return true;
    for (int from = 0; from < size_; ++from) {
      if (from == rank_ || !failed(all[static_cast<std::size_t>(from)])) continue;
      MPI_Recv(nullptr, 0, MPI_BYTE, from, kNotice, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    MPI_Waitall(static_cast<int>(notices_.size()), notices_.data(), MPI_STATUSES_IGNORE);
    const int teller = static_cast<int>(first - all.begin());
    outcome_ = told_by(teller, mine);
    // What went wrong everywhere, such as a file that is not there, is no one rank's doing.
    if (!std::all_of(all.begin(), all.end(), failed)) {
      outcome_.message = fmt::format("rank {}: {}", teller, outcome_.message);
    }
    over_ = true;
    return false;
  }

  Outcome told_by(int teller, const Outcome& mine) const {
    constexpr std::size_t kMostBytes = 4096;
    Outcome outcome = mine;
    int numbers[] = {outcome.code, static_cast<int>(std::min(kMostBytes, outcome.message.size()))};
    MPI_Bcast(numbers, 2, MPI_INT, teller, MPI_COMM_WORLD);
    outcome.code = numbers[0];
    outcome.message.resize(static_cast<std::size_t>(numbers[1]));
    MPI_Bcast(outcome.message.data(), numbers[1], MPI_CHAR, teller, MPI_COMM_WORLD);
    return outcome;
  }

  int rank_ = 0;
  int size_ = 1;
  bool stopped_ = false;
  bool over_ = false;
  bool left_ = false;
  Outcome outcome_;
  std::vector<MPI_Request> notices_;
};

}  // namespace

std::unique_ptr<Ranks> connect_ranks() { return std::make_unique<MpiRanks>(); }

}  // namespace qconv::cli
