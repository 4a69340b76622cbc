// Memory that all ranks of a machine see: what they add up there does not go through the network's loopback.
#pragma once

#include "distributed/group.h"

#ifdef HAS_C10D

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace distributed {

// Values of a cache line.
constexpr int64_t kLine = 16;

// Memory that other processes can map, too, as long as this one has its file open. It goes with the last process that has it.
class Block {
 public:
  // Null where there is not as much, or no such memory.
  static std::shared_ptr<Block> make(size_t bytes);
  // That of another process; null where this one may not look at it.
  static std::shared_ptr<Block> of(int64_t process, int file, size_t bytes);

  Block(int file, char* data, size_t bytes) : file_(file), data_(data), bytes_(bytes) {}
  Block(const Block&) = delete;
  ~Block();

  char* data() const { return data_; }
  float* values() const { return reinterpret_cast<float*>(data_); }
  int file() const { return file_; }
  size_t bytes() const { return bytes_; }
  // Once all that are to have it have it.
  void close_file();

 private:
  int file_;
  char* data_;
  size_t bytes_;
};

// The ranks of a group that are all on one machine. As for every collective, all must call the same in the same order.
class Shared {
 public:
  // Null on all ranks where any cannot take part: on several machines, or on a system without what this needs.
  static std::shared_ptr<Shared> join(c10d::Store& store, bool together, int rank, int size, std::chrono::milliseconds timeout);

  Shared(const Shared&) = delete;
  ~Shared();  // The others notice when they next wait for this rank.

  // Waits until all ranks have come here. Returns the word of each. @throws where one has left, or does not come in time
  std::vector<uint64_t> meet(uint64_t word = 0);

  // Whether all ranks have come with the same word.
  bool agree(uint64_t word);

  // Replaces values by their sums over all ranks. Returns false, and leaves them, where not all came with the same word.
  bool sum(float* values, int64_t count, uint64_t word);

  // The blocks of all ranks, which each has made for itself; nothing on all of them where any has none, or cannot see one.
  std::vector<std::shared_ptr<Block>> exchange(const std::shared_ptr<Block>& own);

  // Replaces `count` values, from the same place of the block of each rank, by their sums. Between two meetings.
  void sum_blocks(const std::vector<std::shared_ptr<Block>>& blocks, int64_t begin, int64_t count) const;

 private:
  struct Seat;
  struct Neighbor {
    std::shared_ptr<Block> block;
    int64_t process;
    int handle;  // readable once the process has ended
  };

  Shared(int rank, std::vector<Neighbor> neighbors, std::chrono::milliseconds timeout);
  Seat& seat(int rank) const;
  float* scratch(int rank, int half) const;
  void await(int rank, uint32_t meeting) const;
  void expect_there(int rank, uint32_t meeting) const;

  const int rank_;
  const std::vector<Neighbor> neighbors_;  // this rank among them
  const std::chrono::milliseconds timeout_;
  uint32_t meeting_ = 0;
  int half_ = 0;  // of the scratch memory, that the next values go to
};

}  // namespace distributed

#endif
