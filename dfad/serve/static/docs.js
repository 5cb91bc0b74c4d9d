// Shows openapi.json for people, without anything from elsewhere.

import { at, element } from "/static/view.js";

function table(heads, rows) {
  const row = (tag, cells) => element("tr", undefined, ...cells.map((cell) => element(tag, cell)));
  const made = element("table", undefined, element("thead", undefined, row("th", heads)), element("tbody", undefined, ...rows.map((cells) => row("td", cells))));
  const box = element("div", undefined, made);
  box.className = "scroll";
  box.tabIndex = 0;
  return box;
}

const nameOf = (schema) => schema?.$ref?.split("/").at(-1);

function kind(schema) {
  if (nameOf(schema)) return nameOf(schema);
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  if (schema.enum) return schema.enum.join(" or ");
  return schema.type === "array" ? `list of ${kind(schema.items)}` : schema.type;
}

function call(method, path, about) {
  const made = element("section", undefined, element("h2", undefined, element("code", `${method.toUpperCase()} ${path}`)), element("p", `${about.summary} ${about.description ?? ""}`));
  made.className = "call";
  for (const one of about.parameters ?? []) made.append(element("p", `Parameter ${one.name}: ${one.description ?? ""}.`));
  const answers = Object.entries(about.responses).map(([status, one]) => [status, one.description, nameOf(one.content?.["application/json"]?.schema) ?? ""]);
  made.append(table(["status", "when", "body"], answers));
  return made;
}

const api = await (await fetch("/openapi.json")).json();
at("lead").textContent = api.info.description.split(":")[0].concat(".");
at("curl").textContent = `curl --data-binary @clip.wav ${location.origin}/score`;
for (const [path, methods] of Object.entries(api.paths)) for (const [method, about] of Object.entries(methods)) at("calls").append(call(method, path, about));
for (const [name, schema] of Object.entries(api.components.schemas).filter(([name]) => !/ValidationError/.test(name))) {
  const rows = Object.entries(schema.properties).map(([field, one]) => [field, kind(one), one.description ?? ""]);
  const made = element("section", undefined, element("h2", undefined, element("code", name)), element("p", schema.description ?? ""), table(["field", "type", "what"], rows));
  made.className = "call";
  at("calls").append(made);
}
