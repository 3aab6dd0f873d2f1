export type { PushBlobOptions, PushedBlob } from "./blob-push.ts";
export type { Credential, CredentialProvider, CredentialQuery } from "./credential.ts";
export type {
  EndpointConfig,
  HostConfig,
  MirrorConfig,
  PemInput,
  TlsConfig,
  UploadMode,
} from "./host-config.ts";
export type { HttpMethod, RequestRecord } from "./http-transport.ts";
export type { CallOptions, PushManifestOptions } from "./manifest-store.ts";
export type { ProxySettings } from "./proxy-selection.ts";
export type { ListReferrersOptions } from "./referrers.ts";
export { RegistryClient, type RegistryClientOptions, type RepositoryName } from "./registry-client.ts";
export type { BlobTarget } from "./remote-blob.ts";
export { type MountBlobOptions, Repository } from "./repository.ts";
export { DEFAULT_RETRY_POLICY } from "./retry-budget.ts";
export type { HelperAction, HelperCall, HelperResult, RunHelper } from "./credential-helper.ts";
export {
  createDockerCredentials,
  type DockerCredentials,
  type DockerCredentialsOptions,
} from "./docker-credentials.ts";
export { type DockerConfig, parseDockerConfig, storedCredential } from "./docker-config.ts";
