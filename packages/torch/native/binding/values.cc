// JavaScript values to IValues and back, driven by the operator's schema.
#include "state.h"

#include <cmath>

namespace binding {

Type describe_type(const c10::TypePtr& type) {
  Type out;
  out.text = type->str();
  switch (type->kind()) {
    case c10::TypeKind::OptionalType: {
      out = describe_type(type->castRaw<c10::OptionalType>()->getElementType());
      out.text = type->str();
      out.optional = true;
      return out;
    }
    case c10::TypeKind::ListType:
      out.kind = Kind::List;
      out.element = std::make_shared<Type>(describe_type(type->castRaw<c10::ListType>()->getElementType()));
      if (out.element->kind == Kind::Unsupported || out.element->kind == Kind::List) out.kind = Kind::Unsupported;
      return out;
    case c10::TypeKind::TensorType: out.kind = Kind::Tensor; break;
    case c10::TypeKind::SymIntType:
    case c10::TypeKind::IntType: out.kind = Kind::Int; break;
    case c10::TypeKind::FloatType: out.kind = Kind::Float; break;
    case c10::TypeKind::BoolType: out.kind = Kind::Bool; break;
    case c10::TypeKind::NumberType: out.kind = Kind::Scalar; break;
    case c10::TypeKind::StringType: out.kind = Kind::String; break;
    case c10::TypeKind::ScalarTypeType: out.kind = Kind::ScalarType; break;
    case c10::TypeKind::LayoutType: out.kind = Kind::Layout; break;
    case c10::TypeKind::MemoryFormatType: out.kind = Kind::MemoryFormat; break;
    case c10::TypeKind::DeviceObjType: out.kind = Kind::Device; break;
    case c10::TypeKind::GeneratorType: out.kind = Kind::Generator; break;
    default: break;
  }
  return out;
}

namespace {

Argument describe_argument(const c10::Argument& source) {
  Argument out;
  out.name = source.name();
  out.type = describe_type(source.real_type());
  out.keyword_only = source.kwarg_only();
  if (source.N()) out.fixed_length = *source.N();
  if (source.default_value()) {
    out.has_default = true;
    out.default_value = *source.default_value();
  }
  return out;
}

[[noreturn]] void mismatch(const Argument& argument) {
  throw std::runtime_error("argument '" + argument.name + "' must be " + argument.type.text);
}

c10::IValue read_value(napi_env env, State& state, const Argument& argument, const Type& type, napi_value value) {
  if (type.optional && is_missing(env, value)) return c10::IValue();
  const char* what = argument.name.c_str();
  switch (type.kind) {
    case Kind::Tensor: {
      int32_t handle;
      if (!get_handle(env, value, &handle)) mismatch(argument);
      return state.tensors.get(handle);
    }
    case Kind::Int: return read_int64(env, value, what);
    case Kind::ScalarType:
    case Kind::Layout:
    case Kind::MemoryFormat: return static_cast<int64_t>(read_int32(env, value, what));
    case Kind::Float: return read_double(env, value, what);
    case Kind::Bool: return read_bool(env, value, what);
    case Kind::Scalar: {
      double number;
      if (napi_get_value_double(env, value, &number) == napi_ok) {
        // A JavaScript number has no integer type: a whole number is passed as one, as PyTorch does for `2`. For −0 see calls.cc.
        if (std::floor(number) == number && std::fabs(number) < 9007199254740992.0 && !(number == 0 && std::signbit(number)))
          return static_cast<int64_t>(number);
        return number;
      }
      bool flag;
      if (napi_get_value_bool(env, value, &flag) == napi_ok) return flag;
      return read_int64(env, value, what);
    }
    case Kind::String: return read_string(env, value);
    case Kind::Device: return c10::Device(read_string(env, value));
    case Kind::Generator: return state.generators.at(static_cast<size_t>(read_int32(env, value, what)));
    default: mismatch(argument);
  }
}

c10::IValue read_list(napi_env env, State& state, const Argument& argument, napi_value value) {
  const Type& element = *argument.type.element;
  bool is_array = false;
  check(napi_is_array(env, value, &is_array), env);
  uint32_t length = 0;
  if (is_array) {
    check(napi_get_array_length(env, value, &length), env);
  } else {
    if (argument.fixed_length <= 0) mismatch(argument);
    length = static_cast<uint32_t>(argument.fixed_length);
  }
  std::vector<c10::IValue> items;
  items.reserve(length);
  for (uint32_t i = 0; i < length; ++i)
    items.push_back(read_value(env, state, argument, element, is_array ? read_element(env, value, i) : value));
  auto typed = [&](auto list, auto convert) {
    list.reserve(length);
    for (const c10::IValue& item : items) list.push_back(convert(item));
    return c10::IValue(std::move(list));
  };
  if (element.kind == Kind::Tensor && element.optional)
    return typed(c10::List<c10::optional<at::Tensor>>(), [](const c10::IValue& v) { return v.toOptional<at::Tensor>(); });
  if (element.kind == Kind::Tensor) return typed(c10::List<at::Tensor>(), [](const c10::IValue& v) { return v.toTensor(); });
  if (element.kind == Kind::Float) return typed(c10::List<double>(), [](const c10::IValue& v) { return v.toDouble(); });
  if (element.kind == Kind::Bool) return typed(c10::List<bool>(), [](const c10::IValue& v) { return v.toBool(); });
  if (element.kind == Kind::Int || element.kind == Kind::ScalarType)
    return typed(c10::List<int64_t>(), [](const c10::IValue& v) { return v.toInt(); });
  if (element.kind == Kind::Scalar) {
    c10::impl::GenericList list(c10::NumberType::get());
    for (c10::IValue& item : items) list.push_back(std::move(item));
    return c10::IValue(std::move(list));
  }
  if (element.kind == Kind::String)
    return typed(c10::List<std::string>(), [](const c10::IValue& v) { return v.toStringRef(); });
  mismatch(argument);
}

}  // namespace

std::unique_ptr<Operator> describe_operator(State* state, const c10::OperatorHandle& handle) {
  const c10::FunctionSchema& schema = handle.schema();
  std::unique_ptr<Operator> out(new Operator{state, handle, {}, {}});
  for (const c10::Argument& argument : schema.arguments()) out->arguments.push_back(describe_argument(argument));
  for (const c10::Argument& source : schema.returns()) {
    Argument described = describe_argument(source);
    if (source.alias_info() && source.alias_info()->isWrite()) {
      for (size_t i = 0; i < schema.arguments().size(); ++i) {
        const c10::AliasInfo* alias = schema.arguments()[i].alias_info();
        if (alias && alias->isWrite() && alias->beforeSets() == source.alias_info()->beforeSets()) {
          described.written = static_cast<int32_t>(i);
          break;
        }
      }
    }
    out->returns.push_back(std::move(described));
  }
  return out;
}

void push_argument(napi_env env, State& state, const Argument& argument, napi_value value, std::vector<c10::IValue>& stack) {
  if (argument.type.kind == Kind::Tensor) {  // the hot path: no look at the value's type before it is read
    int32_t handle;
    if (get_handle(env, value, &handle)) {
      stack.emplace_back(state.tensors.get(handle));
      return;
    }
  }
  if (is_missing(env, value)) {
    if (argument.has_default) {
      stack.push_back(argument.default_value);
      return;
    }
    if (!argument.type.optional) throw std::runtime_error("argument '" + argument.name + "' (" + argument.type.text + ") is missing");
    stack.emplace_back();
    return;
  }
  if (argument.type.kind == Kind::List) {
    stack.push_back(read_list(env, state, argument, value));
    return;
  }
  stack.push_back(read_value(env, state, argument, argument.type, value));
}

napi_value from_ivalue(napi_env env, State& state, c10::IValue&& value) {
  if (value.isTensor()) {
    at::Tensor tensor = std::move(value).toTensor();
    return tensor.defined() ? make_int32(env, state.tensors.add(std::move(tensor))) : make_null(env);
  }
  if (value.isNone()) return make_null(env);
  if (value.isInt()) return make_int64(env, value.toInt());
  if (value.isDouble()) return make_double(env, value.toDouble());
  if (value.isBool()) return make_bool(env, value.toBool());
  if (value.isString()) return make_string(env, value.toStringRef());
  if (value.isDevice()) return make_string(env, value.toDevice().str());
  const auto array_of = [&](const auto& elements) {
    const napi_value out = make_array(env, elements.size());
    for (size_t i = 0; i < elements.size(); ++i) set_element(env, out, i, from_ivalue(env, state, c10::IValue(elements[i])));
    return out;
  };
  if (value.isList()) return array_of(value.toListRef());
  if (value.isTuple()) return array_of(value.toTupleRef().elements());
  throw std::runtime_error("a result of type " + value.tagKind() + " has no JavaScript form");
}

void check(napi_status status, napi_env env) {
  if (status == napi_ok) return;
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending || status == napi_pending_exception || status == napi_cannot_run_js) throw Thrown();
  throw std::runtime_error(std::string("Node.js refused: ") + (info && info->error_message ? info->error_message : "for no stated reason"));
}

std::string plain(std::string message) {
  const auto cut = [&](const char* from, const char* instead) {
    const size_t position = message.find(from);
    if (position != std::string::npos) message = message.substr(0, position) + instead;
  };
  cut("\nException raised from", "");
  cut(" backend. This could be because the operator doesn't exist", " backend: it has no kernel there");
  return message;
}

napi_value make_string(napi_env env, const std::string& text) {
  napi_value out;
  check(napi_create_string_utf8(env, text.data(), text.size(), &out), env);
  return out;
}

napi_value make_int32(napi_env env, int32_t number) {
  napi_value out;
  check(napi_create_int32(env, number, &out), env);
  return out;
}

napi_value make_int64(napi_env env, int64_t number) {
  napi_value out;
  check(napi_create_int64(env, number, &out), env);
  return out;
}

napi_value make_double(napi_env env, double number) {
  napi_value out;
  check(napi_create_double(env, number, &out), env);
  return out;
}

napi_value make_bool(napi_env env, bool flag) {
  napi_value out;
  check(napi_get_boolean(env, flag, &out), env);
  return out;
}

napi_value make_null(napi_env env) {
  napi_value out;
  check(napi_get_null(env, &out), env);
  return out;
}

napi_value make_object(napi_env env) {
  napi_value out;
  check(napi_create_object(env, &out), env);
  return out;
}

napi_value make_array(napi_env env, size_t length) {
  napi_value out;
  check(napi_create_array_with_length(env, length, &out), env);
  return out;
}

void set_element(napi_env env, napi_value array, size_t index, napi_value value) {
  check(napi_set_element(env, array, static_cast<uint32_t>(index), value), env);
}

void set_property(napi_env env, napi_value object, const char* name, napi_value value) {
  check(napi_set_named_property(env, object, name, value), env);
}

std::string read_string(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) throw std::runtime_error("a string was expected");
  std::string text(length, '\0');
  check(napi_get_value_string_utf8(env, value, &text[0], length + 1, &length), env);
  return text;
}

bool get_handle(napi_env env, napi_value value, int32_t* out) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) return false;
  *out = number >= 0 && number <= INT32_MAX ? static_cast<int32_t>(number) : -1;
  return true;
}

int32_t read_int32(napi_env env, napi_value value, const char* what) {
  const int64_t out = read_int64(env, value, what);
  if (out != static_cast<int32_t>(out)) throw std::runtime_error(std::string(what) + " is " + std::to_string(out) + ", which does not fit 32 bits");
  return static_cast<int32_t>(out);
}

int64_t read_int64(napi_env env, napi_value value, const char* what) {
  double number;
  if (napi_get_value_double(env, value, &number) == napi_ok) {
    if (number != std::floor(number) || std::fabs(number) >= 9223372036854775808.0) throw std::runtime_error(std::string(what) + " must be an integer");
    return static_cast<int64_t>(number);
  }
  int64_t out;
  bool lossless;
  if (napi_get_value_bigint_int64(env, value, &out, &lossless) != napi_ok) throw std::runtime_error(std::string(what) + " must be an integer");
  if (!lossless) throw std::runtime_error(std::string(what) + " does not fit 64 bits");
  return out;
}

double read_double(napi_env env, napi_value value, const char* what) {
  double out;
  if (napi_get_value_double(env, value, &out) != napi_ok) throw std::runtime_error(std::string(what) + " must be a number");
  return out;
}

bool read_bool(napi_env env, napi_value value, const char* what) {
  bool out;
  if (napi_get_value_bool(env, value, &out) != napi_ok) throw std::runtime_error(std::string(what) + " must be true or false");
  return out;
}

bool is_missing(napi_env env, napi_value value) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), env);
  return type == napi_undefined || type == napi_null;
}

napi_value read_element(napi_env env, napi_value array, uint32_t index) {
  napi_value out;
  check(napi_get_element(env, array, index, &out), env);
  return out;
}

std::vector<int64_t> read_sizes(napi_env env, napi_value value, const char* what) {
  uint32_t length = 0;
  if (napi_get_array_length(env, value, &length) != napi_ok) throw std::runtime_error(std::string(what) + " must be an array of integers");
  std::vector<int64_t> out(length);
  for (uint32_t i = 0; i < length; ++i) out[i] = read_int64(env, read_element(env, value, i), what);
  return out;
}

std::vector<int32_t> read_handles(napi_env env, napi_value value, const char* what) {
  uint32_t length = 0;
  if (napi_get_array_length(env, value, &length) != napi_ok) throw std::runtime_error(std::string(what) + " must be an array of tensors");
  std::vector<int32_t> out(length);
  for (uint32_t i = 0; i < length; ++i) out[i] = read_int32(env, read_element(env, value, i), what);
  return out;
}

}  // namespace binding
