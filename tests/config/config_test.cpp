#include "mambaseg/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mambaseg {
namespace {

struct Inner {
  double rate = 0.5;
  std::vector<int64_t> widths{1, 2};
  void describe(SettingsVisitor& visit) {
    visit("rate", rate, "learning rate", between(0, 1));
    visit("widths", widths, "channels", at_least(1));
  }
};

struct Outer {
  int epochs = 15;
  std::string device = "cpu";
  bool resume = false;
  Inner inner;
  std::vector<Inner> list;
  std::map<std::string, int64_t> labels;
  Json network = Json::object();
  void describe(SettingsVisitor& visit) {
    visit("epochs", epochs, "passes", at_least(1));
    visit("device", device, "where", one_of({"cpu", "cuda"}));
    visit("resume", resume, "go on");
    visit("inner", inner, "more");
    visit("list", list, "several");
    visit("labels", labels, "names");
    visit("network", network, "any");
  }
};

std::string refusal(const Json& json) {
  try {
    from_json<Outer>(json);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Config, RoundTripKeepsEveryMember) {
  const Json json =
      Json::parse(R"({"epochs": 3, "device": "cuda", "resume": true, "inner": {"rate": 0.25, "widths": [4]},
      "list": [{"rate": 1.0, "widths": []}], "labels": {"a": 1}, "network": {"name": "x", "depth": 9}})");
  EXPECT_EQ(to_json(from_json<Outer>(json)), json);
  EXPECT_EQ(from_json<Outer>(Json::object()).inner.widths.size(), 2u);
}

TEST(Config, SaysWhichSettingIsWrongAndWhy) {
  EXPECT_EQ(refusal({{"epoch", 3}}), "unknown key `epoch`, did you mean `epochs`?");
  EXPECT_EQ(refusal({{"inner", {{"rates", 3}}}}), "unknown key `inner.rates`, did you mean `inner.rate`?");
  EXPECT_EQ(refusal({{"epochs", 0}}), "setting epochs: expected at least 1, got 0");
  EXPECT_EQ(refusal({{"epochs", "many"}}), "setting epochs: expected a whole number, got \"many\"");
  EXPECT_EQ(refusal({{"epochs", 1.5}}), "setting epochs: expected a whole number, got 1.5");
  EXPECT_EQ(refusal({{"device", "tpu"}}), "setting device: expected one of cpu, cuda, got \"tpu\"");
  EXPECT_EQ(refusal({{"inner", {{"widths", {1, 0}}}}}),
            "setting inner.widths[1]: expected at least 1, got 0");
  EXPECT_EQ(refusal({{"inner", 4}}), "setting inner: expected a table of settings, got 4");
}

TEST(Config, SetByPathReadsNumbersListsAndBareWords) {
  Json json = Json::object();
  set_by_path(json, "inner.rate=0.125");
  set_by_path(json, "inner.widths=[8, 16]");
  set_by_path(json, "device=cuda");
  set_by_path(json, "resume=true");
  const Outer outer = from_json<Outer>(json);
  EXPECT_EQ(outer.inner.rate, 0.125);
  EXPECT_THAT(outer.inner.widths, testing::ElementsAre(8, 16));
  EXPECT_EQ(outer.device, "cuda");
  EXPECT_TRUE(outer.resume);
  EXPECT_THROW(set_by_path(json, "epochs"), UsageError);
}

TEST(Config, DocumentationListsPathDefaultAndRule) {
  const auto lines = documentation<Outer>();
  EXPECT_EQ(lines[0].path, "epochs");
  EXPECT_EQ(lines[0].value, 15);
  EXPECT_EQ(lines[0].rule, "at least 1");
  EXPECT_EQ(lines[3].path, "inner.rate");
}

}  // namespace
}  // namespace mambaseg
