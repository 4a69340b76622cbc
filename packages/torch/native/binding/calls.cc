// The one door: any operator, resolved by name, called through libtorch's boxed entry.
#include "state.h"

#include <cmath>
#include <set>

namespace binding {
namespace {

bool is_negative_zero(const c10::IValue& value) { return value.isDouble() && value.toDouble() == 0 && std::signbit(value.toDouble()); }

// Whether a call is about fractions: by one of its tensors, or by the dtype that it names.
bool has_fractions(const Operator& op, const std::vector<c10::IValue>& stack) {
  const auto is_fraction = [](at::ScalarType type) { return at::isFloatingType(type) || at::isComplexType(type); };
  for (size_t i = 0; i < op.arguments.size(); ++i) {
    const c10::IValue& value = stack[i];
    if (value.isTensor() && value.toTensor().defined() && is_fraction(value.toTensor().scalar_type())) return true;
    if (value.isTensorList())
      for (const at::Tensor& tensor : value.toTensorVector())
        if (is_fraction(tensor.scalar_type())) return true;
    if (op.arguments[i].type.kind == Kind::ScalarType && value.isInt() && is_fraction(static_cast<at::ScalarType>(value.toInt()))) return true;
  }
  return false;
}

// JavaScript has one zero too many: −5 % 5 and Math.round(−0.3) are −0. Where a call has no fractions, that is the integer 0, not a double,
// which would make fractions of integers.
void settle_zeros(const Operator& op, std::vector<c10::IValue>& stack) {
  const auto settle = [&](c10::IValue& value) {
    if (is_negative_zero(value) && !has_fractions(op, stack)) value = int64_t{0};
  };
  for (size_t i = 0; i < op.arguments.size(); ++i) {
    const Type& type = op.arguments[i].type;
    if (type.kind == Kind::Scalar) settle(stack[i]);
    if (type.kind != Kind::List || type.element->kind != Kind::Scalar || !stack[i].isList()) continue;
    c10::List<c10::IValue> list = stack[i].toList();
    for (size_t j = 0; j < list.size(); ++j) {
      c10::IValue item = list.get(j);
      settle(item);
      list.set(j, item);
    }
  }
}

napi_value call_operator(napi_env env, napi_callback_info info) {
  constexpr size_t kMost = 40;
  napi_value values[kMost];
  size_t count = kMost;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, values, nullptr, &data) != napi_ok) return nullptr;
  Operator& op = *static_cast<Operator*>(data);
  State& state = *op.state;
  return guarded(env, state, [&]() -> napi_value {
    std::vector<c10::IValue> stack = std::move(state.stack);  // its capacity is kept from call to call
    stack.clear();
    const size_t total = op.arguments.size();
    for (size_t i = 0; i < total; ++i) {
      if (i < count) {
        push_argument(env, state, op.arguments[i], values[i], stack);
      } else if (op.arguments[i].has_default) {
        stack.push_back(op.arguments[i].default_value);
      } else if (op.arguments[i].type.optional) {
        stack.emplace_back();
      } else {
        throw std::runtime_error("argument '" + op.arguments[i].name + "' (" + op.arguments[i].type.text + ") is missing");
      }
    }
    settle_zeros(op, stack);
    op.handle.callBoxed(&stack);
    napi_value out = nullptr;
    if (stack.size() == 1) {
      // An in-place operator returns its own argument: JavaScript has that object already.
      if (op.returns[0].written < 0) out = from_ivalue(env, state, std::move(stack[0]));
    } else if (stack.size() > 1) {
      out = make_array(env, stack.size());
      for (size_t i = 0; i < stack.size(); ++i)
        if (op.returns[i].written < 0) set_element(env, out, i, from_ivalue(env, state, std::move(stack[i])));
    }
    stack.clear();
    state.stack = std::move(stack);
    return out;
  });
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::Tensor: return "Tensor";
    case Kind::Int: return "Int";
    case Kind::Float: return "Float";
    case Kind::Bool: return "Bool";
    case Kind::Scalar: return "Scalar";
    case Kind::String: return "String";
    case Kind::ScalarType: return "ScalarType";
    case Kind::Layout: return "Layout";
    case Kind::MemoryFormat: return "MemoryFormat";
    case Kind::Device: return "Device";
    case Kind::Generator: return "Generator";
    case Kind::List: return "List";
    default: return "Unsupported";
  }
}

napi_value describe(napi_env env, const Type& type) {
  const napi_value out = make_object(env);
  set_property(env, out, "kind", make_string(env, kind_name(type.kind)));
  set_property(env, out, "optional", make_bool(env, type.optional));
  set_property(env, out, "text", make_string(env, type.text));
  if (type.element) set_property(env, out, "element", describe(env, *type.element));
  return out;
}

napi_value describe(napi_env env, const std::vector<Argument>& arguments) {
  const napi_value out = make_array(env, arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Argument& argument = arguments[i];
    const napi_value entry = make_object(env);
    set_property(env, entry, "name", make_string(env, argument.name));
    set_property(env, entry, "type", describe(env, argument.type));
    set_property(env, entry, "hasDefault", make_bool(env, argument.has_default));
    set_property(env, entry, "keywordOnly", make_bool(env, argument.keyword_only));
    set_property(env, entry, "fixedLength", make_int32(env, argument.fixed_length));
    set_property(env, entry, "written", make_int32(env, argument.written));
    set_element(env, out, i, entry);
  }
  return out;
}

// operatorNames() → ["aten::mul.Tensor", …], all that the library has.
napi_value operator_names(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const auto names = c10::Dispatcher::singleton().getAllOpNames();
    const napi_value out = make_array(env, 0);
    size_t count = 0;
    for (const c10::OperatorName& name : names)
      if (c10::Dispatcher::singleton().findSchema(name)) set_element(env, out, count++, make_string(env, toString(name)));
    return out;
  });
}

// methodNames() → names in aten whose first argument is a tensor named self.
napi_value method_names(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
    std::set<std::string> names;
    for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
      if (name.name.rfind("aten::", 0) != 0 || name.name[6] == '_') continue;
      auto handle = c10::Dispatcher::singleton().findSchema(name);
      if (!handle || handle->schema().arguments().empty()) continue;
      const c10::Argument& first = handle->schema().arguments()[0];
      if (first.name() == "self" && first.type()->kind() == c10::TypeKind::TensorType) names.insert(name.name.substr(6));
    }
    const napi_value out = make_array(env, names.size());
    size_t count = 0;
    for (const std::string& name : names) set_element(env, out, count++, make_string(env, name));
    return out;
  });
}

// describeOperator(name, overload) → schema description, or undefined when the library lacks it.
napi_value describe_named(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    auto handle = c10::Dispatcher::singleton().findSchema({read_string(env, call.values[0]), read_string(env, call.values[1])});
    if (!handle) return nullptr;
    std::unique_ptr<Operator> op = describe_operator(call.state, *handle);
    const napi_value out = make_object(env);
    set_property(env, out, "overload", call.values[1]);
    set_property(env, out, "schema", make_string(env, toString(handle->schema())));
    set_property(env, out, "arguments", describe(env, op->arguments));
    set_property(env, out, "returns", describe(env, op->returns));
    return out;
  });
}

// bindOperator(name, overload) → a function that takes every argument of the schema in order.
napi_value bind_operator(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    const std::string name = read_string(env, call.values[0]);
    auto handle = c10::Dispatcher::singleton().findSchema({name, read_string(env, call.values[1])});
    if (!handle) throw std::runtime_error("libtorch has no operator " + name);
    call.state->operators.push_back(describe_operator(call.state, *handle));
    napi_value out;
    check(napi_create_function(env, name.c_str(), name.size(), call_operator, call.state->operators.back().get(), &out), env);
    return out;
  });
}

}  // namespace

void register_calls(napi_env env, napi_value exports, State* state) {
  define(env, exports, "operatorNames", operator_names, state);
  define(env, exports, "methodNames", method_names, state);
  define(env, exports, "describeOperator", describe_named, state);
  define(env, exports, "bindOperator", bind_operator, state);
}

}  // namespace binding
