package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/builder/buildpack"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/server"
)

// registryPassword is the registry's, which only this machine needs: it is
// kept sealed, and made anew when it cannot be opened.
func (o *options) registryPassword(ring *secret.Ring) (string, error) {
	path := o.path("registry.password")
	const about = "registry.password"
	text, err := os.ReadFile(path)
	if err != nil && !isMissing(err) {
		return "", err
	}
	kept := strings.TrimSpace(string(text))
	if plain, err := ring.Open(kept, about); err == nil && !ring.Stale(kept) {
		return string(plain), nil
	}
	fresh := rand.Text()
	return fresh, writeFile(path, ring.Seal([]byte(fresh), about)+"\n")
}

// password reads a random secret of this state directory, made at first use.
func password(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil && len(text) >= 32 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !isMissing(err) {
		return "", err
	}
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	value := hex.EncodeToString(random)
	return value, writeFile(path, value+"\n")
}

// minBuilderKey is the shortest key of a builder, in bytes.
const minBuilderKey = 16

// builderKey reads the key of --builder-key-file, which is never written, or
// the state directory's own.
func (o *options) builderKey() (string, error) {
	if o.BuilderKeyFile == "" {
		return password(o.path("builder.key"))
	}
	text, err := os.ReadFile(o.BuilderKeyFile)
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(text))
	if len(key) < minBuilderKey {
		return "", fmt.Errorf("--builder-key-file %s holds less than %d characters", o.BuilderKeyFile, minBuilderKey)
	}
	return key, nil
}

// writeFile replaces a file for this user only; a crash leaves the old or the
// new one.
func writeFile(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the first error is the one to tell
	}
	return err
}

func (o *options) databaseURL() string {
	if o.Database != "" {
		return o.Database
	}
	return o.path("slipway.db")
}

// port is the port of an address; 0 when there is none.
func port(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	number, err := net.LookupPort("tcp", text)
	if err != nil {
		return 0
	}
	return number
}

// withPort is host, and the port unless it is the scheme's own.
func withPort(host, address string, usual int) string {
	if p := port(address); p != usual {
		_, text, _ := net.SplitHostPort(address) // validated
		return host + ":" + text
	}
	return host
}

func (o *options) appURL(host string) string { return "http://" + withPort(host, o.HTTP, 80) }
func (o *options) apiURL() string            { return o.appURL("slipway." + o.Domain) }

// gitSSH is where pushes go; any name that leads here serves.
func (o *options) gitSSH() string { return "ssh://git@" + withPort(o.Domain, o.SSH, 22) }

func (o *options) serverOptions(f *fleet.Fleet, builderKey string) server.Options {
	return server.Options{
		Version: version, Domain: o.Domain, APIURL: o.apiURL(),
		GitSSH: o.gitSSH(), GitHTTP: o.appURL("git." + o.Domain),
		EdgeHTTPPort: port(o.HTTP), EdgeHTTPSPort: o.httpsPort(),
		Engine: "local", BuilderKey: builderKey,
		Metrics: func(ctx context.Context) (string, error) { return node.Metrics(ctx, o.nodeSocket()) },
		EdgeStatus: func(ctx context.Context, app string) (platform.EdgeStatus, error) {
			return node.EdgeStatus(ctx, o.nodeSocket(), app)
		},
		Runtime: func() platform.RuntimeInfo {
			for _, node := range f.Nodes() {
				return node.Runtime
			}
			return platform.RuntimeInfo{}
		},
	}
}

// buildEnvironment are the variables of this process that a build may see:
// where packages come from and whom to trust, nothing else.
var buildEnvironment = []string{
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
	"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN", "NPM_CONFIG_REGISTRY", "PIP_INDEX_URL",
}

// buildUID is the user builds run as: apps' own begin right above it.
const buildUID = 299_999

func buildpackOptions(o *options, password string) buildpack.Options {
	env := make(map[string]string)
	for _, name := range buildEnvironment {
		if value := os.Getenv(name); value != "" {
			env[name] = value
		}
	}
	return buildpack.Options{
		Dir: o.path("buildpacks"), UID: buildUID, Env: env,
		RegistryAddr: o.Registry, RegistryUser: registryUser, RegistryPassword: password,
		Timeout: o.BuildTimeout, Silence: o.BuildSilence, MemoryBytes: o.BuildMemory << 20, DiskBytes: o.BuildDisk << 20,
	}
}

// instanceMemory is in bytes; 0 where the machine does not tell how much it has.
func (o *options) instanceMemory() int64 {
	if o.AppMemory > 0 {
		return o.AppMemory << 20
	}
	var machine unix.Sysinfo_t
	if unix.Sysinfo(&machine) != nil {
		return 0
	}
	return int64(machine.Totalram) * int64(machine.Unit) / 2
}
