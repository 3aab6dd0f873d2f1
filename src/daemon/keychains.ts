/**
 * The keychains of a daemon, as it is configured.
 *
 * @module
 */
import { DisposableList } from "../async/index.ts";
import type { CredentialProvider } from "../registry/index.ts";
import { createDockerCredentials } from "../registry/index.ts";
import { chainCredentials, type NamedCredentials } from "./credential-chain.ts";
import type { DaemonConfig } from "./daemon-config.ts";
import type { LearnedCredentials } from "./learned-credentials.ts";
import { credentialLocations, type RegistryEnvironment } from "./registry-access.ts";
import type { ServerLog } from "./server-log.ts";

/** With what keychains work. */
export interface KeychainsOptions {
  readonly config: DaemonConfig;
  readonly environment: RegistryEnvironment;
  /** The store. */
  readonly directory: string;
  readonly log: ServerLog;
  /** Whether somebody tells credentials as images are pulled: they are the newest then, and asked first. */
  readonly areTold: boolean;
}

/** Docker's files, the cluster's secrets, what was learned from pulls: in this order, unless that is told by itself. */
export interface Keychains extends AsyncDisposable {
  readonly credentials: CredentialProvider;
  /** Where pulls, or their credentials, are to be told; absent if neither is configured. */
  readonly learned?: LearnedCredentials | undefined;
}

/** Opens what is configured; what is not costs nothing. */
export async function openKeychains(options: KeychainsOptions): Promise<Keychains> {
  const { areTold, config, directory, environment, log } = options;
  const { kubeconfig, cri } = config.keychains;
  await using parts = new DisposableList();
  const docker = createDockerCredentials(credentialLocations(environment, undefined));
  const sources: NamedCredentials[] = [{ name: "Docker's configuration", provider: docker }];
  if (kubeconfig.enabled) {
    const { SecretCredentials } = await import("./secret-credentials.ts");
    const path = kubeconfig.path ?? environment.variables["KUBECONFIG"] ?? `${environment.home}/.kube/config`;
    const onProblem = (problem: string): void => log.warn(problem);
    const provider = parts.use(new SecretCredentials({ path, variables: environment.variables, onProblem }));
    sources.push({ name: "the cluster's secrets", provider });
  }
  let learned: LearnedCredentials | undefined;
  if (cri.enabled || areTold) {
    const { LearnedCredentials } = await import("./learned-credentials.ts");
    const onProblem = (problem: Error): void => log.error({ err: problem }, "credentials are lost");
    learned = await LearnedCredentials.open({ directory, onProblem });
    const source = { name: "what was learned from pulls", provider: learned };
    if (areTold) sources.unshift(source);
    else sources.push(source);
  }
  const owned = parts.move();
  return {
    credentials: chainCredentials(sources, { onProblem: (problem) => log.warn(problem) }),
    learned,
    [Symbol.asyncDispose]: async () => await owned[Symbol.asyncDispose](),
  };
}
