// Draws the OpenAPI document of this server.

const element = (tag, className, ...children) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter(child => child !== undefined && child !== null));
  return made;
};
const plain = text => (text ?? "").replaceAll("``", "");
const api = await fetch("openapi.json").then(answer => answer.json());
const resolve = schema => schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema;

function type(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(type).join(" | ");
  if (schema.type === "array") return `list of ${type(schema.items) || "any"}`;
  if (schema.type === "object" && schema.additionalProperties) return `mapping to ${type(schema.additionalProperties) || "any"}`;
  return schema.type ?? "any";
}

// The forms that a schema is made of, each once, outermost first.
function forms(schema, found = new Map()) {
  if (!schema || typeof schema !== "object") return found;
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    if (!found.has(name)) {
      found.set(name, resolve(schema));
      forms(resolve(schema), found);
    }
    return found;
  }
  for (const value of Object.values(schema)) forms(value, found);
  return found;
}

function form(name, schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([field, inner]) => element("tr", "",
    element("td", "", element("code", "", field), schema.required?.includes(field) ? " *" : ""),
    element("td", "", type(inner)),
    element("td", "", plain(inner.description))));
  const head = element("tr", "", ...["field (* required)", "type", ""].map(text => element("th", "", text)));
  return element("details", "", element("summary", "", element("code", "", name), ` ${plain(schema.description)}`),
    element("table", "", head, ...rows));
}

function operation(path, method, said) {
  const box = element("section", "card");
  box.append(element("h2", "", element("span", `method ${method}`, method.toUpperCase()), element("code", "", path)),
    element("div", "", said.summary));
  const body = said.requestBody?.content["application/json"]?.schema;
  const example = resolve(body)?.example;
  if (example) {
    const quoted = JSON.stringify(example).replaceAll("'", "'\\''");
    const url = new URL(path.slice(1).replace("{name}", "NAME").replace("{version}", "VERSION"), location.href);
    box.append(element("pre", "", `curl ${url} \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'`));
  }
  const statuses = Object.entries(said.responses).map(([status, answer]) => element("tr", "",
    element("td", "", element("code", "", status)), element("td", "", answer.description)));
  const answer = said.responses["200"].content["application/json"]?.schema;
  for (const [name, schema] of forms([body, answer])) box.append(form(name, schema));
  box.append(element("details", "", element("summary", "", "Answers"), element("table", "", ...statuses)));
  return box;
}

document.getElementById("version").textContent = `version ${api.info.version}`;
document.getElementById("paths").append(...Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, said]) => operation(path, method, said))));
