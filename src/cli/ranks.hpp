#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <qconv/state_dict.hpp>

namespace qconv::cli {

/// How a verb went: an exit code, and what went wrong unless it is kOk.
struct Outcome {
  int code = 0;
  std::string message;
};

/// Thrown in a rank that stops because another one failed.
class OtherRankFailed : public std::runtime_error {
 public:
  OtherRankFailed() : std::runtime_error("another rank failed") {}
};

/// The processes that mpirun or srun started together; alone, one rank that does everything.
///
/// A failure is agreed on before anything is waited for: each call that takes all ranks first asks how the
/// others are, and settle() is one of these. So a rank that fails on its way to gather() meets the others in
/// it, and all of them end with the same outcome.
class Ranks {
 public:
  Ranks() = default;
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  virtual ~Ranks() = default;

  virtual int rank() const noexcept = 0;
  virtual int size() const noexcept = 0;
  /// Writes files and talks; the others compute.
  bool root() const noexcept { return rank() == 0; }

  /// Throws OtherRankFailed when one has; to be called now and then during long work.
  virtual void check_others() = 0;
  /// Takes all ranks: each gives its state, and the root calls `take` with each, its own first, in the order
  /// of their ranks, one at a time in memory. Throws OtherRankFailed when one fails before it gets here.
  virtual void gather(const StateDict& mine, const std::function<void(const StateDict&)>& take) = 0;
  /// The last call of every rank: takes how it went here, and returns how it went for all.
  virtual Outcome settle(const Outcome& mine) = 0;
  /// After settle() and what was printed about it.
  virtual void leave() = 0;
};

/// Joins the processes that were started together with this one, if there are any. To be called once, before
/// ranks(). Throws UsageError in a build without MPI that was started in several.
void join_ranks();
/// Before join_ranks(), and in a process of its own, a single rank.
Ranks& ranks();

/// How many processes the launcher says it started (Open MPI's, PMI's and Slurm's variables); 1 without one.
/// Reading these is free, while initialising MPI takes longer than many a command.
int launched_ranks();
/// Several ranks: MPI's, or UsageError in a build without it.
std::unique_ptr<Ranks> connect_ranks();

}  // namespace qconv::cli
