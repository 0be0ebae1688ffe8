#pragma once

#include <string>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// Reads JSON text; `where` names it in errors. Throws Error on a syntax error, and on lists or objects
/// nested more than 100 deep, which no settings are but which would overflow the stack of whoever copies or
/// writes them.
Json parse_json(const std::string& text, const std::string& where);

using OrderedJson = nlohmann::ordered_json;  ///< keeps the keys of an object in the order of the text

/// Reads a JSON file under the same conditions. Throws Error naming the path.
OrderedJson read_ordered_json(const std::string& path);

}  // namespace mambaseg
