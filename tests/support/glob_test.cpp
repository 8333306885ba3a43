#include "support/glob.hpp"

#include <string>

#include <gtest/gtest.h>

namespace qconv {
namespace {

TEST(Glob, Fits) {
  EXPECT_TRUE(glob_match("", ""));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("/layer1/*", "/layer1/conv/Conv"));
  EXPECT_TRUE(glob_match("*Conv", "/layer1/conv/Conv"));
  EXPECT_TRUE(glob_match("*a*b", "xaxbab"));
  EXPECT_TRUE(glob_match("a??d", "abcd"));
  EXPECT_TRUE(glob_match("**", "x"));
}

TEST(Glob, DoesNotFit) {
  EXPECT_FALSE(glob_match("", "x"));
  EXPECT_FALSE(glob_match("?", ""));
  EXPECT_FALSE(glob_match("/layer1/*", "/layer10/conv"));
  EXPECT_FALSE(glob_match("conv", "Conv"));
  EXPECT_FALSE(glob_match("*a*b", "xbxa"));
  EXPECT_FALSE(glob_match("a?", "abc"));
}

// Without going back further than the last star; otherwise this would take years.
TEST(Glob, TakesNoMoreThanTheProductOfTheLengths) {
  std::string pattern;
  for (int i = 0; i < 30; ++i) pattern += "*a";
  EXPECT_FALSE(glob_match(pattern + "b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace qconv
