package dockerfile

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
)

// The config values that say how a Dockerfile is built.
const (
	fileKey    = "SLIPWAY_DOCKERFILE"             // path in the tree; else Dockerfile
	targetKey  = "SLIPWAY_BUILD_TARGET"           // stage; else the last
	argsKey    = "SLIPWAY_BUILD_ARGS"             // config values that are build arguments
	secretsKey = "SLIPWAY_BUILD_SECRETS"          // config values that are secrets of RUN
	sshKey     = "SLIPWAY_BUILD_SSH_KEY"          // private key for RUN --mount=type=ssh
	allArgsKey = "DEIS_DOCKER_BUILD_ARGS_ENABLED" // every config value is a build argument
)

// settings are what the app's config says of a build.
type settings struct {
	file    string
	attrs   map[string]string // of the frontend
	secrets map[string][]byte
	ssh     *keyring // nil: no key
}

func readSettings(dir string, r builder.Request) (settings, error) {
	s := settings{file: dockerfileOf(r), attrs: make(map[string]string), secrets: make(map[string][]byte)}
	if !filepath.IsLocal(s.file) {
		return s, refused(fmt.Sprintf("%s is %q: it is a path inside the tree", fileKey, s.file), "Set it with  slipway config set "+fileKey+"=deploy/Dockerfile  and push again.")
	}
	s.attrs["filename"] = filepath.ToSlash(filepath.Clean(s.file))
	if target := strings.TrimSpace(r.Env[targetKey]); target != "" {
		s.attrs["target"] = target
	}
	if err := s.takeSecrets(r); err != nil {
		return s, err
	}
	if err := s.takeArgs(r); err != nil {
		return s, err
	}
	if builder.CacheDisabled(r) {
		s.attrs["no-cache"] = ""
	}
	if ref := officialSyntax(dir, s.file); ref != "" {
		s.attrs["cmdline"] = ref // as if that frontend had been fetched and started
	}
	return s, nil
}

// dockerfileOf is the path of the Dockerfile in the tree.
func dockerfileOf(r builder.Request) string {
	if path := strings.TrimSpace(r.Env[fileKey]); path != "" {
		return path
	}
	return "Dockerfile"
}

func (s *settings) takeSecrets(r builder.Request) error {
	names, err := named(r, secretsKey)
	if err != nil {
		return err
	}
	for _, name := range names {
		s.secrets[name] = []byte(r.Env[name])
	}
	for _, key := range []string{sshKey, "SSH_KEY"} {
		if text := r.Env[key]; text != "" {
			if s.ssh, err = newKeyring(text); err != nil {
				return refused(key+" is no private key: "+err.Error(), "Set it with: slipway config set "+key+"=\"$(base64 -w0 <private key file>)\"; it must not have a passphrase.")
			}
			break
		}
	}
	return nil
}

// takeArgs passes the config values that were asked for, and no secret.
func (s *settings) takeArgs(r builder.Request) error {
	names, err := named(r, argsKey)
	if err != nil {
		return err
	}
	if _, all := r.Env[allArgsKey]; all {
		for name := range r.Env {
			if !own[name] {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if _, secret := s.secrets[name]; !secret {
			s.attrs["build-arg:"+name] = r.Env[name]
		}
	}
	if _, given := s.attrs["build-arg:SOURCE_VERSION"]; !given {
		s.attrs["build-arg:SOURCE_VERSION"] = r.Source.Commit[:min(8, len(r.Source.Commit))]
	}
	return nil
}

// own are config values for the platform, which are no build arguments.
var own = map[string]bool{fileKey: true, targetKey: true, argsKey: true, secretsKey: true, sshKey: true, allArgsKey: true, "SSH_KEY": true}

// named reads a list of names of config values; each must be set.
func named(r builder.Request, key string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(r.Env[key], ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if _, set := r.Env[name]; !set {
			return nil, refused(fmt.Sprintf("%s names %s, which the app's config does not have", key, name), "Set it with  slipway config set "+name+"=<value>  or take its name away, then push again.")
		}
		names = append(names, name)
	}
	return names, nil
}

// maxDockerfile bounds how much of a Dockerfile is looked at for its syntax
// line, which must come first.
const maxDockerfile = 64 << 10

// official are names of the very frontend that is linked in here. It is not
// fetched then, which a closed network could not do.
var official = regexp.MustCompile(`^(docker\.io/)?docker/dockerfile(:1(\.\d+){0,2}|:latest)?$`)

// officialSyntax is what a `# syntax=` line names, if that is linked in.
func officialSyntax(dir, file string) string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return ""
	}
	defer root.Close()
	f, err := root.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxDockerfile)) // BuildKit will say what is wrong with it
	if ref, _, _, ok := parser.DetectSyntax(text); ok && official.MatchString(ref) {
		return ref
	}
	return ""
}

func refused(message, cure string) *platform.UserError {
	return &platform.UserError{Kind: platform.ErrInvalid, Message: message, Cure: cure}
}

// hidden are the values no line of the build may show.
func (s settings) hidden() map[string]string {
	values := make(map[string]string)
	for name, value := range maps.All(s.secrets) {
		values[name] = string(value)
	}
	return values
}
