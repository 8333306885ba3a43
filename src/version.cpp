#include <qconv/version.hpp>

#define QCONV_TEXT(x) #x
#define QCONV_DOTTED(a, b, c) QCONV_TEXT(a) "." QCONV_TEXT(b) "." QCONV_TEXT(c)

namespace qconv {

std::string_view version() noexcept {
  return QCONV_DOTTED(QCONV_VERSION_MAJOR, QCONV_VERSION_MINOR, QCONV_VERSION_PATCH);
}

}  // namespace qconv
