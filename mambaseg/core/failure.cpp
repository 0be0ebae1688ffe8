#include "mambaseg/core/failure.h"

#include <new>

#include "mambaseg/core/error.h"

namespace mambaseg {

Failure plain_failure() {
  try {
    throw;
  } catch (const UsageError& error) {
    return {Outcome::misused, error.what()};
  } catch (const Error& error) {
    return {Outcome::failed, error.what()};
  } catch (const Cancelled& error) {
    return {Outcome::cancelled, error.what()};
  } catch (const std::bad_alloc&) {
    return {Outcome::failed, "not enough memory"};
  } catch (const std::exception& error) {
    const std::string text = error.what();
    return {Outcome::failed, text.substr(0, text.find('\n'))};
  } catch (...) {
    return {Outcome::failed, "something was thrown that is no exception"};
  }
}

}  // namespace mambaseg
