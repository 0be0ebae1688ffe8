#include "mambaseg/train/world.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <optional>
#include <thread>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef MAMBASEG_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace mambaseg {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLook{20}, kBeat{500};
/// How long ranks that live may take to say so when one is lost.
constexpr milliseconds kRollCall{3000};

const std::string kLives = "lives/", kStops = "stops/";  // and the rank: keys of the meeting place

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

/// The address of this machine that a packet to `host` would leave from.
std::string address_towards(const std::string& host, uint16_t port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return host;
  std::string address = host;
  if (const int wire = socket(found->ai_family, SOCK_DGRAM, 0); wire >= 0) {
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    char text[NI_MAXHOST];
    if (connect(wire, found->ai_addr, found->ai_addrlen) == 0 &&
        getsockname(wire, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST) == 0)
      address = text;
    close(wire);
  }
  freeaddrinfo(found);
  return address;
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo(const c10::intrusive_ptr<c10d::Store>& store,
                                                const WorldPlace& place, milliseconds patience) {
  auto options = c10d::ProcessGroupGloo::Options::create(patience);
  options->devices.push_back(
      c10d::ProcessGroupGloo::createDeviceForHostname(address_towards(place.address, place.port)));
  options->threads = 2;
  return c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store),
                                                     place.rank, place.size, options);
}

}  // namespace

class World::Sum {
 public:
  torch::Tensor tensor;
  c10::intrusive_ptr<c10d::Work> work;  ///< null: done
};

struct World::Connection {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> host;
#ifdef MAMBASEG_NCCL
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> gpus;
#endif
  int64_t turn = 0;  ///< of said()
  std::atomic<bool> over{false};

  /// What the meeting place answers; nothing when it is silent. It may be so for ever, so it is asked on a
  /// thread that is left behind then.
  template <class Question>
  auto ask(milliseconds patience, Question question) const {
    using Answer = decltype(question(*store));
    auto task = std::make_shared<std::packaged_task<Answer()>>(
        [store = store, question = std::move(question)] { return question(*store); });
    std::future<Answer> answer = task->get_future();
    std::thread([task] { (*task)(); }).detach();
    if (answer.wait_for(patience) != std::future_status::ready) return std::optional<Answer>();
    return std::optional<Answer>(answer.get());
  }
};

World::World() = default;

World::World(const WorldPlace& place, torch::Device device, milliseconds patience)
    : place_(place), patience_(patience) {
  require(place.size >= 1 && place.rank >= 0 && place.rank < place.size, "rank ", place.rank, " of ",
          place.size, " processes: expected ranks from 0 on, below their number");
  if (alone()) return;
#ifndef MAMBASEG_NCCL
  if (device.is_cuda())
    throw UsageError(
        "several processes on GPUs: this build has no NCCL; expected a LibTorch with CUDA and nccl.h when it "
        "was configured");
#endif
  connection_ = std::make_shared<Connection>();
  try {
    c10d::TCPStoreOptions options;
    options.port = place.port;
    options.isServer = leads();
    options.numWorkers = place.size;
    options.waitWorkers = false;
    options.timeout = patience;
    connection_->store = c10::make_intrusive<c10d::PrefixStore>(
        "mambaseg", c10::make_intrusive<c10d::TCPStore>(place.address, options));
    connection_->host = gloo(connection_->store, place, patience);
#ifdef MAMBASEG_NCCL
    if (device.is_cuda()) {
      auto nccl = c10d::ProcessGroupNCCL::Options::create();
      nccl->timeout = patience;
      connection_->gpus = c10::make_intrusive<c10d::ProcessGroupNCCL>(
          c10::make_intrusive<c10d::PrefixStore>("nccl", connection_->store), place.rank, place.size, nccl);
    }
#endif
  } catch (const std::exception& error) {
    const std::string cause = error.what();
    throw RankLost(concat("rank ", place.rank, " of ", place.size, ": the others did not come to ",
                          place.address, ":", place.port, " within ",
                          std::chrono::duration_cast<std::chrono::seconds>(patience).count(), " s (",
                          cause.substr(0, cause.find('\n')), ")"));
  }
  std::thread([connection = connection_, key = kLives + std::to_string(rank())] {
    try {
      for (; !connection->over; std::this_thread::sleep_for(kBeat)) connection->store->add(key, 1);
    } catch (const std::exception&) {  // the meeting place is gone, which the next call finds
    }
  }).detach();
}

World::~World() {
  if (connection_) connection_->over = true;
}

std::pair<int64_t, int64_t> World::share(int64_t count) const {
  return {count * place_.rank / place_.size, count * (place_.rank + 1) / place_.size};
}

std::shared_ptr<World::Sum> World::begin_sum(torch::Tensor tensor) {
  auto sum = std::make_shared<Sum>();
  sum->tensor = std::move(tensor);
  if (alone()) return sum;
  std::vector<torch::Tensor> list{sum->tensor};
  try {
#ifdef MAMBASEG_NCCL
    if (sum->tensor.is_cuda()) {
      sum->work = connection_->gpus->allreduce(list);
      return sum;
    }
#endif
    sum->work = connection_->host->allreduce(list);
  } catch (const std::exception& error) {
    lost(error.what());
  }
  return sum;
}

void World::finish(Sum& sum) {
  if (!sum.work) return;
  try {
    sum.work->wait();
  } catch (const std::exception& error) {
    lost(error.what());
  }
  sum.work.reset();
}

std::vector<double> World::sums(const std::vector<double>& values) {
  if (alone()) return values;
  const torch::Tensor tensor = torch::tensor(values, torch::kFloat64);
  finish(*begin_sum(tensor));
  const double* first = tensor.data_ptr<double>();
  return {first, first + values.size()};
}

torch::Tensor World::of_all(const torch::Tensor& mine) {
  if (alone()) return mine.unsqueeze(0);
  torch::Tensor all =
      torch::zeros_like(mine).unsqueeze(0).repeat_interleave(size(), 0);  // a sum with zeros is exact
  all[rank()].copy_(mine);
  finish(*begin_sum(all));
  return all;
}

std::vector<std::string> World::said(const std::string& mine) {
  if (alone()) return {mine};
  const std::string turn = concat("said/", connection_->turn++, "/");
  struct Look {
    bool spoke = false, stopped = false;
    int64_t signs = 0;
    std::string words;
  };
  std::vector<std::string> all;
  try {
    const auto meeting_place = [&](auto question) {
      auto answer = connection_->ask(patience_, std::move(question));
      if (!answer) throw Error("the meeting place is silent");
      return *answer;
    };
    meeting_place([key = turn + std::to_string(rank()), mine](c10d::Store& store) {
      store.set(key, bytes_of(mine));
      return true;
    });
    for (int other = 0; other < size(); ++other) {
      int64_t signs = -1;
      for (auto heard = Clock::now(); all.size() <= static_cast<size_t>(other);) {
        const Look look = meeting_place([key = turn + std::to_string(other), other](c10d::Store& store) {
          Look now;
          now.spoke = store.check({key});
          if (now.spoke) now.words = text_of(store.get(key));
          now.stopped = store.check({kStops + std::to_string(other)});
          now.signs = store.add(kLives + std::to_string(other), 0);
          return now;
        });
        if (look.spoke) {
          all.push_back(look.words);
          break;
        }
        if (look.signs != signs) heard = Clock::now(), signs = look.signs;
        if (look.stopped || Clock::now() - heard > patience_) throw Error("no word");
        std::this_thread::sleep_for(kLook);
      }
    }
  } catch (const std::exception& error) {
    lost(error.what());
  }
  return all;
}

void World::stop(const std::string& why) noexcept {
  if (alone()) return;
  try {
    connection_->ask(kRollCall, [key = kStops + std::to_string(rank()), why](c10d::Store& store) {
      store.set(key, bytes_of(why));
      return true;
    });
  } catch (...) {  // then nobody can be told
  }
}

/// Finds out who is lost: a rank that said why it stops, or one that gave no sign of life for a while.
void World::lost(const std::string& cause) {
  const auto roll_call = [rank = rank(), size = size()](c10d::Store& store) -> std::string {
    std::vector<int64_t> signs;
    for (int other = 0; other < size; ++other) signs.push_back(store.add(kLives + std::to_string(other), 0));
    for (const auto until = Clock::now() + kRollCall;; std::this_thread::sleep_for(kLook)) {
      std::string silent;
      for (int other = 0; other < size; ++other) {
        if (other == rank) continue;
        if (const std::string key = kStops + std::to_string(other); store.check({key}))
          return concat("rank ", other, " stopped: ", text_of(store.get(key)));
        if (store.add(kLives + std::to_string(other), 0) == signs[static_cast<size_t>(other)])
          silent += (silent.empty() ? "" : ", ") + std::to_string(other);
      }
      if (silent.empty()) return "the connection between the ranks broke";
      if (Clock::now() > until) return concat("rank ", silent, " answers no more");
    }
  };
  std::string verdict;
  try {
    if (const auto answer = connection_->ask(2 * kRollCall, roll_call)) verdict = *answer;
  } catch (const std::exception&) {  // the meeting place is gone
  }
  if (verdict.empty())
    verdict = concat("rank 0, which keeps the meeting place at ", place_.address, ":", place_.port,
                     ", answers no more");
  connection_->host.release();  // what waits for a lost rank is left behind
#ifdef MAMBASEG_NCCL
  connection_->gpus.release();
#endif
  throw RankLost(
      concat("rank ", rank(), " of ", size(), ": ", verdict, " (", cause.substr(0, cause.find('\n')), ")"));
}

}  // namespace mambaseg
