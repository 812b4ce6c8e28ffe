// Package api is the wire: the JSON of Slipway's REST API as both ends see it.
// The server encodes what the client decodes, so that neither can drift. It
// holds types and their encoding only, and imports the standard library.
//
// The shapes are those of Deis Workflow's API 2.3, which its own clients
// decode; what Slipway adds is marked so, and is safe because those clients
// ignore unknown fields. Timestamps are never null, lists and maps never
// null, and config values are always strings.
package api

// APIVersion is the version of the protocol, and exactly this: Deis' clients
// compare the parts as strings.
const APIVersion = "2.3"

// Headers of every answer, in this exact case (some scripts grep for it).
const (
	// HeaderAPIVersion carries APIVersion.
	HeaderAPIVersion = "DEIS_API_VERSION"
	// HeaderPlatformVersion carries Slipway's own version.
	HeaderPlatformVersion = "DEIS_PLATFORM_VERSION"
	// HeaderRequestID carries the request's id, for the server's log.
	HeaderRequestID = "X-Request-Id"
)

// HeaderBuilderAuth carries the builder's key in requests to /v2/hooks.
const HeaderBuilderAuth = "X-Deis-Builder-Auth"

// AuthScheme is the word before the token: "Authorization: token <40 hex>".
const AuthScheme = "token"
