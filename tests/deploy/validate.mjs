// node validate.mjs FILE...: checks the documents of YAML files against what is published of Kubernetes.
// kubernetes-models has compiled schemas, which find wrong types, missing fields and bad values;
// kubernetes-types has types, against which TypeScript finds unknown fields. To be copied to where they are installed.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import yaml from "js-yaml";

let program = "";
let count = 0;
let bad = 0;

for (const file of process.argv.slice(2)) {
    for (const document of yaml.loadAll(readFileSync(file, "utf8"))) {
        const { apiVersion, kind } = document;
        const operator = apiVersion.startsWith("monitoring.coreos.com/");
        const models = await import(`${operator ? "@kubernetes-models/prometheus-operator" : "kubernetes-models"}/${apiVersion}`);
        if (!models[kind]) throw new Error(`${file}: ${apiVersion} has no ${kind}`);
        try {
            new models[kind](document).validate();
        } catch (error) {
            console.log(`${file}: ${kind}: ${error.message}`);
            bad++;
        }
        count++;
        if (operator) continue; // of which there are no types
        const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["core", apiVersion];
        program += `import { ${kind} as T${count} } from "kubernetes-types/${group.replace(".k8s.io", "")}/${version}";
const d${count}: T${count} = ${JSON.stringify(document, null, 1)};\n`;
    }
}
writeFileSync("documents.ts", program + "export {};\n");
const done = spawnSync("node_modules/.bin/tsc",
    ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "node", "documents.ts"], { encoding: "utf8" });
process.stdout.write(done.stdout);
console.log(`${count} documents`);
process.exit(bad || done.status ? 1 : 0);
