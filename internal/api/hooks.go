package api

// HookKey answers GET /v2/hooks/key/<fingerprint>: whose key it is and which
// apps its owner may push to.
type HookKey struct {
	Username string   `json:"username"`
	Apps     []string `json:"apps"`
}

// HookPublicKey is one key of a user in GET /v2/hooks/keys/<app>.
type HookPublicKey struct {
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
}

// HookConfig is the body of POST /v2/hooks/config/.
type HookConfig struct {
	ReceiveUser string `json:"receive_user"`
	ReceiveRepo string `json:"receive_repo"`
}

// HookBuild is the body of POST /v2/hooks/build/.
type HookBuild struct {
	ReceiveUser string            `json:"receive_user"`
	ReceiveRepo string            `json:"receive_repo"`
	SHA         string            `json:"sha,omitempty" maxLength:"40"`
	Image       string            `json:"image"`
	Procfile    map[string]string `json:"procfile,omitempty"`
	Dockerfile  string            `json:"dockerfile,omitempty"`
}

// HookBuilt answers a HookBuild.
type HookBuilt struct {
	Release RolledBack `json:"release"`
}
