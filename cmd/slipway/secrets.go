package main

import (
	"os"

	"github.com/slipway-paas/slipway/internal/secret"
)

// ring is the keys that secrets are sealed under: those of the environment, or
// those of the key file, which is made when it is not there. The control plane
// and the node of one machine share them.
func (o *options) ring() (*secret.Ring, error) {
	if keys := os.Getenv(secret.EnvironmentVariable); keys != "" {
		return secret.FromEnvironment(keys)
	}
	return secret.OpenFile(o.secretKeyFile())
}
