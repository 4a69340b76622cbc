#include "distributed/shared.h"

#ifdef HAS_C10D

#include <algorithm>
#include <cstring>
#include <random>
#include <sstream>

#ifdef __linux__
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#endif

namespace distributed {

#ifdef __linux__

std::shared_ptr<Block> Block::make(size_t bytes) {
  const int file = memfd_create("iqvae", MFD_CLOEXEC);
  if (file < 0) return nullptr;
  // Taken at once: memory that turns out to be missing when it is written to would end the process.
  void* data = MAP_FAILED;
  if (fallocate(file, 0, 0, static_cast<off_t>(bytes)) == 0) data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (data != MAP_FAILED) return std::make_shared<Block>(file, static_cast<char*>(data), bytes);
  close(file);
  return nullptr;
}

std::shared_ptr<Block> Block::of(int64_t process, int file, size_t bytes) {
  const std::string path = "/proc/" + std::to_string(process) + "/fd/" + std::to_string(file);
  const int own = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (own < 0) return nullptr;
  void* data = MAP_FAILED;
  if (lseek(own, 0, SEEK_END) == static_cast<off_t>(bytes)) data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
  close(own);
  return data == MAP_FAILED ? nullptr : std::make_shared<Block>(-1, static_cast<char*>(data), bytes);
}

void Block::close_file() {
  if (file_ >= 0) close(file_);
  file_ = -1;
}

Block::~Block() {
  close_file();
  munmap(data_, bytes_);
}

namespace {

int64_t own_process() { return getpid(); }

// A handle that becomes readable when a process ends, or -1.
int handle_of(int64_t process) { return static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(process), 0)); }

void close_handle(int handle) { close(handle); }

bool has_ended(int handle) {
  pollfd asked{handle, POLLIN, 0};
  return poll(&asked, 1, 0) > 0;
}

// Sleeps until it is no longer `seen`, or for a while.
void sleep_on(const std::atomic<uint32_t>& number, uint32_t seen) {
  const timespec a_while{0, 20'000'000};
  syscall(SYS_futex, &number, FUTEX_WAIT, seen, &a_while, nullptr, 0);
}

void wake_all(const std::atomic<uint32_t>& number) { syscall(SYS_futex, &number, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0); }

#else

std::shared_ptr<Block> Block::make(size_t) { return nullptr; }
std::shared_ptr<Block> Block::of(int64_t, int, size_t) { return nullptr; }
void Block::close_file() {}
Block::~Block() = default;

namespace {

int64_t own_process() { return 0; }
int handle_of(int64_t) { return -1; }
void close_handle(int) {}
bool has_ended(int) { return false; }
void sleep_on(const std::atomic<uint32_t>&, uint32_t) {}
void wake_all(const std::atomic<uint32_t>&) {}

#endif

// Some tens of microseconds, as long as ranks usually wait for each other in the middle of a sum.
constexpr int kSpins = 1000;

// Values of a rank that are added up at once, small enough to stay in the cache. They go to two halves in turn: one can be filled while
// others still read the one before.
constexpr int64_t kChunk = 1 << 17;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

struct Range {
  int64_t begin, end;
};

// The part of `count` values that a rank adds up, by whole cache lines.
Range share_of(int64_t count, int rank, int size) {
  const int64_t lines = (count + kLine - 1) / kLine;
  return {std::min(count, lines * rank / size * kLine), std::min(count, lines * (rank + 1) / size * kLine)};
}

// Sums over the parts, in their order, tile by tile. `write(begin, sums, count)` stores them.
template <typename Write>
void add_up(const std::vector<float*>& parts, Range range, Write&& write) {
  constexpr int64_t kTile = 1024;
  float sums[kTile];
  for (int64_t begin = range.begin; begin < range.end; begin += kTile) {
    const int64_t count = std::min(kTile, range.end - begin);
    std::memcpy(sums, parts[0] + begin, count * sizeof(float));
    for (size_t i = 1; i < parts.size(); ++i) {
      const float* part = parts[i] + begin;
      for (int64_t j = 0; j < count; ++j) sums[j] += part[j];
    }
    write(begin, sums, count);
  }
}

}  // namespace

// What the others see of a rank, at the beginning of its block.
struct Shared::Seat {
  uint64_t token;                   // whose block it is
  uint64_t words[2];                // of this meeting and the one before, which others may still read
  std::atomic<uint32_t> meeting;    // the last that it came to
  std::atomic<uint32_t> has_left;
};

namespace {
constexpr size_t kSeatBytes = 4096;
constexpr size_t kBlockBytes = kSeatBytes + 2 * kChunk * sizeof(float);
}  // namespace

Shared::Shared(int rank, std::vector<Neighbor> neighbors, std::chrono::milliseconds timeout)
    : rank_(rank), neighbors_(std::move(neighbors)), timeout_(timeout) {}

Shared::~Shared() {
  seat(rank_).has_left.store(1, std::memory_order_release);
  wake_all(seat(rank_).meeting);
  for (const Neighbor& neighbor : neighbors_) close_handle(neighbor.handle);
}

std::shared_ptr<Shared> Shared::join(c10d::Store& store, bool together, int rank, int size, std::chrono::milliseconds timeout) {
  static_assert(sizeof(Seat) <= kSeatBytes, "a seat has a page of its own");
  const auto keys = [size](const std::string& name) {
    std::vector<std::string> all;
    for (int i = 0; i < size; i++) all.push_back("shared/" + name + "/" + std::to_string(i));
    return all;
  };
  const std::vector<std::string> blocks = keys("block"), answers = keys("answer");
  const std::shared_ptr<Block> own = together ? Block::make(kBlockBytes) : nullptr;
  uint64_t token = 0;
  if (own) {
    std::random_device random;
    token = (static_cast<uint64_t>(random()) << 32) | random();
    reinterpret_cast<Seat*>(own->data())->token = token;
  }
  std::ostringstream told;
  told << own_process() << ' ' << (own ? own->file() : -1) << ' ' << token;
  store.set(blocks[rank], bytes_of(told.str()));
  store.wait(blocks);

  std::vector<Neighbor> neighbors;
  bool sees_all = own != nullptr;
  for (int other = 0; other < size && sees_all; other++) {
    std::istringstream text(text_of(store.get(blocks[other])));
    int64_t process = 0;
    int file = -1;
    text >> process >> file >> token;
    const std::shared_ptr<Block> block = other == rank ? own : file < 0 ? nullptr : Block::of(process, file, kBlockBytes);
    const int handle = block == nullptr ? -1 : handle_of(process);
    // A process of that number may be another one, where each of several containers counts its own.
    sees_all = handle >= 0 && reinterpret_cast<const Seat*>(block->data())->token == token;
    if (handle >= 0) neighbors.push_back({block, process, handle});
  }
  store.set(answers[rank], bytes_of(sees_all ? "yes" : "no"));
  store.wait(answers);
  for (const std::string& answer : answers)
    if (text_of(store.get(answer)) != "yes") sees_all = false;
  if (own) own->close_file();
  if (sees_all) return std::shared_ptr<Shared>(new Shared(rank, std::move(neighbors), timeout));
  for (const Neighbor& neighbor : neighbors) close_handle(neighbor.handle);
  return nullptr;
}

Shared::Seat& Shared::seat(int rank) const { return *reinterpret_cast<Seat*>(neighbors_[rank].block->data()); }

float* Shared::scratch(int rank, int half) const {
  return reinterpret_cast<float*>(neighbors_[rank].block->data() + kSeatBytes) + half * kChunk;
}

std::vector<uint64_t> Shared::meet(uint64_t word) {
  const uint32_t now = ++meeting_;
  Seat& own = seat(rank_);
  own.words[now % 2] = word;
  own.meeting.store(now, std::memory_order_release);
  wake_all(own.meeting);
  std::vector<uint64_t> words;
  for (size_t other = 0; other < neighbors_.size(); ++other) {
    await(static_cast<int>(other), now);
    words.push_back(seat(static_cast<int>(other)).words[now % 2]);
  }
  return words;
}

bool Shared::agree(uint64_t word) {
  const std::vector<uint64_t> words = meet(word);
  return std::all_of(words.begin(), words.end(), [word](uint64_t other) { return other == word; });
}

void Shared::await(int rank, uint32_t meeting) const {
  const std::atomic<uint32_t>& at = seat(rank).meeting;
  const auto has_come = [&](uint32_t seen) { return static_cast<int32_t>(seen - meeting) >= 0; };
  for (int spin = 0; spin < kSpins; ++spin) {
    if (has_come(at.load(std::memory_order_acquire))) return;
    relax();
  }
  const auto end = std::chrono::steady_clock::now() + timeout_;
  for (;;) {
    const uint32_t seen = at.load(std::memory_order_acquire);
    if (has_come(seen)) return;
    expect_there(rank, meeting);
    TORCH_CHECK(std::chrono::steady_clock::now() < end, "timed out waiting for rank ", rank);
    sleep_on(at, seen);
  }
}

void Shared::expect_there(int rank, uint32_t meeting) const {
  const Seat& other = seat(rank);
  const bool left = other.has_left.load(std::memory_order_acquire) != 0;
  if (!left && !has_ended(neighbors_[rank].handle)) return;
  // It may have come here before it left.
  if (static_cast<int32_t>(other.meeting.load(std::memory_order_acquire) - meeting) >= 0) return;
  TORCH_CHECK(false, "rank ", rank, ", process ", neighbors_[rank].process, ", has ", left ? "left the group" : "ended");
}

bool Shared::sum(float* values, int64_t count, uint64_t word) {
  const int size = static_cast<int>(neighbors_.size());
  for (int64_t begin = 0; begin < count; begin += kChunk, half_ ^= 1) {
    const int64_t length = std::min(kChunk, count - begin);
    std::vector<float*> parts;
    for (int other = 0; other < size; ++other) parts.push_back(scratch(other, half_));
    const auto copy = [&](const float* from, float* to, Range range) {
      std::memcpy(to + range.begin, from + range.begin, (range.end - range.begin) * sizeof(float));
    };
    // The others' shares go out, one's own is added up, and comes back from each.
    for (int other = 0; other < size; ++other)
      if (other != rank_) copy(values + begin, parts[rank_], share_of(length, other, size));
    if (!agree(word)) return false;
    float* sums = parts[rank_];
    parts[rank_] = values + begin;
    add_up(parts, share_of(length, rank_, size), [&](int64_t at, const float* from, int64_t n) {
      std::memcpy(sums + at, from, n * sizeof(float));
      std::memcpy(values + begin + at, from, n * sizeof(float));
    });
    meet();
    for (int other = 0; other < size; ++other)
      if (other != rank_) copy(parts[other], values + begin, share_of(length, other, size));
  }
  return true;
}

std::vector<std::shared_ptr<Block>> Shared::exchange(const std::shared_ptr<Block>& own) {
  const std::vector<uint64_t> files = meet(own ? static_cast<uint64_t>(own->file()) + 1 : 0);
  std::vector<std::shared_ptr<Block>> blocks;
  bool sees_all = own != nullptr;
  for (int other = 0; other < static_cast<int>(files.size()) && sees_all; ++other) {
    const auto& [block, process, handle] = neighbors_[other];
    if (other == rank_)
      blocks.push_back(own);
    else if (files[other] > 0)
      blocks.push_back(Block::of(process, static_cast<int>(files[other] - 1), own->bytes()));
    sees_all = blocks.size() == static_cast<size_t>(other) + 1 && blocks.back() != nullptr;
  }
  for (const uint64_t answer : meet(sees_all)) sees_all = sees_all && answer == 1;
  if (own) own->close_file();
  return sees_all ? blocks : std::vector<std::shared_ptr<Block>>();
}

void Shared::sum_blocks(const std::vector<std::shared_ptr<Block>>& blocks, int64_t begin, int64_t count) const {
  std::vector<float*> parts;
  for (const std::shared_ptr<Block>& block : blocks) parts.push_back(block->values() + begin);
  add_up(parts, share_of(count, rank_, static_cast<int>(parts.size())), [&](int64_t at, const float* sums, int64_t n) {
    for (float* part : parts) std::memcpy(part + at, sums, n * sizeof(float));
  });
}

}  // namespace distributed

#endif
