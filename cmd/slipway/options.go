package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
)

// options of the daemons. Each is a flag, SLIPWAY_<NAME> in the environment,
// and a line "name = value" in the file named by --config; the first of these
// that is given counts.
type options struct {
	// HTTP and HTTPS are the edge's addresses. HTTPS may be empty: off.
	HTTP, HTTPS string
	// HTTPSPort is where clients reach HTTPS when a balancer or NAT stands
	// before HTTPS; 0 is the port of HTTPS. A wrong one sends who is redirected
	// to where nobody answers.
	HTTPSPort int
	// HTTP3 serves HTTP/3 at the UDP port of HTTPS as well, and tells clients of
	// it. A firewall in front has to let it pass. Heeded by a node when it starts.
	HTTP3 bool
	// TrustedProxies are the addresses and networks, with commas between them,
	// of proxies whose X-Forwarded-… the edge believes. Whoever can send from one
	// can claim any address. Empty: nobody is believed.
	TrustedProxies string
	trustedProxies []netip.Prefix // the same, read by validate
	// TCPPorts are the ports of the edge that apps may be given, first-last.
	// Empty: none. Nothing else should listen there, and a firewall in front has
	// to let them pass.
	TCPPorts string
	tcpPorts controller.PortRange // the same, read by validate
	// HoldRequests is how many requests of one app wait while an instance with a
	// volume takes over from another, and HoldTime for how long; more get 503.
	// Shorter than such an app takes to end and to start, its deploys fail
	// requests. Heeded by a node when it starts.
	HoldRequests int
	HoldTime     time.Duration
	// edge says what apps have whose teams set nothing.
	edge edgeOptions
	// API is where the REST API answers besides the edge. Keep it on loopback:
	// it speaks plain HTTP.
	API string
	// SSH is where git push over SSH is answered.
	SSH string
	// Registry is the image registry's address. Only this machine needs it.
	Registry string
	// ImageGrace is how long content of the registry stays that no release, tag
	// or upload needs. Too short ends slow pushes.
	ImageGrace time.Duration
	// KeepReleases is how many releases of each app keep their images, so that
	// one can go back to them; 0: all.
	KeepReleases int
	// ImageQuota bounds what the images of one app may hold, in MiB; 0: nothing
	// does. An administrator may say otherwise for an app.
	ImageQuota int64
	// State is the directory of everything that must survive a restart.
	State string
	// Domain is the platform domain: apps are <app>.<domain>.
	Domain string
	// Database is a postgres:// URL; empty means SQLite in State.
	Database string
	// SecretKeyFile holds the keys that secrets are sealed under; empty means
	// secret.key in State. Without it, config cannot be read: keep a copy. With
	// SLIPWAY_SECRET_KEY in the environment it is neither read nor made.
	SecretKeyFile string
	secretKeys    string // of the environment, once ring took them
	// BuilderKeyFile holds the key that a builder elsewhere shows to /v2/hooks.
	// Who has it may deploy as any user. Empty: builder.key in State.
	BuilderKeyFile string
	// Registration is who may register: enabled, admin_only or disabled.
	Registration string
	// MaxPush bounds one git push, in MiB. Too small refuses honest
	// repositories; each push may need that much disk twice.
	MaxPush int64
	// BuildTimeout bounds one build.
	BuildTimeout time.Duration
	// BuildSilence ends a build that prints nothing for so long. Too short ends
	// honest downloads.
	BuildSilence time.Duration
	// BuildMemory bounds one build's memory, in MiB.
	BuildMemory int64
	// BuildDisk bounds what one build writes, in MiB.
	BuildDisk int64
	// BuildCache bounds what Dockerfile builds keep for the next ones, of all apps
	// together, in MiB. Too small makes each build fetch its base images again.
	BuildCache int64
	// AppMemory bounds an instance of an app that sets no limit of its own, in
	// MiB; 0 is half of the machine's memory.
	AppMemory int64
	// DeployTimeout bounds the time from a release's first start to all of its
	// instances being up.
	DeployTimeout time.Duration
	// CronRuns is how many crons run at a time, of all apps; 0: twice the cores,
	// at least 4. More wait.
	CronRuns int
	// LogBytes bounds the kept log of one app, in MiB.
	LogBytes int64
	// NodeTags are the labels of this machine, beside kubernetes.io/hostname,
	// /arch and /os: an app whose tags ask for another is refused.
	NodeTags map[string]string
	// DefaultTags are the tags of an app that sets none.
	DefaultTags map[string]string
	// DeployHookURLs are told of every new release, separated by commas.
	DeployHookURLs string
	// DeployHookSecretFile holds the key that signs what they are told.
	DeployHookSecretFile string
	// RejectLostProcfile and KeepLostProcfile say what becomes of an image
	// without a Procfile where the build before had one; else its process types go.
	RejectLostProcfile, KeepLostProcfile bool
	// RegistryMirrors are asked before the registries they stand before, in
	// order: docker.io=http://127.0.0.1:5001; docker.io=only keeps the platform
	// from asking the registry itself.
	RegistryMirrors []string
	// InsecureRegistries are asked without looking at their certificate, or by
	// plain HTTP. Whoever is on the way can then hand out any image by a tag, and
	// read the credentials.
	InsecureRegistries []string
	// RegistryCAs are the authorities of registries: host=/path/ca.pem.
	RegistryCAs []string
	hosts       images.Hosts // what the three say, read by validate
	// MaxImage bounds the compressed layers of one image, in MiB. Too much lets
	// one image fill the disk.
	MaxImage int64
	// PullTimeout bounds the time in which an image is brought from elsewhere.
	PullTimeout time.Duration
	// deployHookSecret is what the file says, or the environment.
	deployHookSecret string
	// runtime says how the node runs instances.
	runtime runtimeOptions
	access  accessOptions
	clients clientOptions
	// CNBBuilder is the builder image of Cloud Native Buildpacks, fetched and
	// pinned when an app first needs it. Its buildpacks run confined, but what
	// they put into apps is theirs to decide. Empty: there are none.
	CNBBuilder string
	// CNBRunImage is the image below the apps it builds; empty: the one it names.
	CNBRunImage string
	// CNBDefault builds with it what its buildpacks are for, asked or not.
	CNBDefault bool
	// Verbose logs every request.
	Verbose bool
	// LDAP is the directory users log in at besides; off without an endpoint.
	// The password it is searched with comes from LDAPPasswordFile or the
	// environment: everybody on the machine can read a flag.
	LDAP             auth.DirectoryOptions
	LDAPPasswordFile string
	acme             acmeOptions
	// TLSProfile is modern (TLS 1.3) or intermediate (1.2 as well). Heeded by a
	// node when it starts.
	TLSProfile string
}

func (o *options) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.HTTP, "http", ":8080", "address of the edge")
	flags.StringVar(&o.HTTPS, "https", ":8443", "address of the edge for HTTPS; empty: off")
	flags.BoolVar(&o.HTTP3, "http3", false, "serve HTTP/3 too, at the UDP port of --https, and tell clients so")
	flags.StringVar(&o.TCPPorts, "tcp-ports", "", "ports of the edge that apps may be given for TCP connections, first-last; empty: none")
	flags.IntVar(&o.HoldRequests, "hold-requests", 1000, "requests of one app that may wait while an instance with a volume takes over from another")
	flags.DurationVar(&o.HoldTime, "hold-time", 30*time.Second, "how long they may wait; then they get 503")
	flags.IntVar(&o.HTTPSPort, "https-port", 0, "port that clients reach HTTPS at, where a balancer or NAT maps it; 0: the port of --https")
	flags.StringVar(&o.TrustedProxies, "trusted-proxies", "", "addresses and networks, separated by commas, of proxies whose X-Forwarded-For, -Proto, -Host and -Port are believed; empty: nobody's")
	flags.StringVar(&o.API, "api", "127.0.0.1:8000", "address of the REST API on loopback, besides the edge")
	flags.StringVar(&o.SSH, "ssh", ":2222", "address of git push over SSH")
	flags.StringVar(&o.Registry, "registry", "127.0.0.1:5000", "address of the image registry")
	flags.DurationVar(&o.ImageGrace, "image-grace", registry.DefaultGrace, "how long images stay that no release and no tag needs")
	flags.IntVar(&o.KeepReleases, "keep-releases", 0, "how many releases of an app keep their images for a rollback; 0: all")
	flags.Int64Var(&o.ImageQuota, "image-quota", 0, "what the images of one app may hold, in MiB; 0: any number")
	flags.StringVar(&o.State, "state", defaultState(), "directory of everything that must survive a restart")
	flags.StringVar(&o.Domain, "domain", "localhost", "platform domain: apps are served at <app>.<domain>")
	flags.StringVar(&o.Database, "database", "", "postgres://… instead of SQLite in the state directory")
	flags.StringVar(&o.SecretKeyFile, "secret-key-file", "", "keys that secrets are sealed under; empty: secret.key in the state directory")
	flags.StringVar(&o.BuilderKeyFile, "builder-key-file", "", "key that a builder elsewhere shows to /v2/hooks; empty: builder.key in the state directory")
	flags.StringVar(&o.Registration, "registration", "admin_only", "who may register: enabled, admin_only, disabled")
	flags.Int64Var(&o.MaxPush, "max-push", 512, "largest git push, in MiB")
	flags.DurationVar(&o.BuildTimeout, "build-timeout", 15*time.Minute, "longest build")
	flags.DurationVar(&o.BuildSilence, "build-silence", 10*time.Minute, "longest time a build may print nothing")
	flags.Int64Var(&o.BuildMemory, "build-memory", 2048, "memory of one build, in MiB")
	flags.Int64Var(&o.BuildDisk, "build-disk", 4096, "what one build may write, in MiB")
	flags.Int64Var(&o.BuildCache, "build-cache", 10240, "what Dockerfile builds of all apps keep for the next ones, in MiB")
	flags.Int64Var(&o.AppMemory, "app-memory", 0, "memory of an instance whose app sets no limit, in MiB; 0: half of the machine's")
	flags.DurationVar(&o.DeployTimeout, "deploy-timeout", 2*time.Minute, "longest wait for a release's instances to be up")
	flags.IntVar(&o.CronRuns, "cron-runs", 0, "how many crons run at a time, of all apps; 0: twice the cores, at least 4")
	flags.Int64Var(&o.LogBytes, "log-bytes", 10, "kept log of one app, in MiB")
	flags.StringToStringVar(&o.NodeTags, "node-tags", nil, "labels of this machine, key=value,…, which apps' tags are held against")
	flags.StringToStringVar(&o.DefaultTags, "default-tags", nil, "tags of apps that set none, key=value,…; also DEIS_DEFAULT_CONFIG_TAGS as JSON")
	flags.StringVar(&o.DeployHookURLs, "deploy-hook-urls", "", "http:// or https:// URLs to be told of every new release, separated by commas")
	flags.StringVar(&o.DeployHookSecretFile, "deploy-hook-secret-file", "", "file with the key that signs deploy hooks")
	flags.BoolVar(&o.RejectLostProcfile, "reject-lost-procfile", false, "refuse an image without a Procfile where the build before had one")
	flags.BoolVar(&o.KeepLostProcfile, "keep-lost-procfile", false, "give such an image the Procfile of the build before")
	flags.StringSliceVar(&o.RegistryMirrors, "registry-mirrors", nil, "registries asked before others, in order: docker.io=http://127.0.0.1:5001,…; docker.io=only: docker.io itself is never asked")
	flags.StringSliceVar(&o.InsecureRegistries, "insecure-registries", nil, "registries, host[:port],…, whose certificate is not looked at, or that speak plain HTTP")
	flags.StringSliceVar(&o.RegistryCAs, "registry-cas", nil, "authorities of registries besides the machine's: host[:port]=/path/ca.pem,…")
	flags.Int64Var(&o.MaxImage, "max-image", 10240, "largest image, its compressed layers together, in MiB")
	flags.DurationVar(&o.PullTimeout, "pull-timeout", 30*time.Minute, "longest time to bring an image from its registry")
	flags.BoolVar(&o.Verbose, "verbose", false, "log every request")
	o.edge.flags(flags)
	flags.StringVar(&o.TLSProfile, "tls-profile", platform.TLSIntermediate, "what HTTPS takes: modern (TLS 1.3), intermediate (1.2 as well)")
	o.acme.flags(flags)
	o.cnbFlags(flags)
	o.directoryFlags(flags)
	o.runtime.flags(flags)
	o.access.flags(flags)
	o.clients.flags(flags)
}

// fill gives every flag that was not on the command line its value from the
// environment or the file, and checks what came out.
func (o *options) fill(cmd *cobra.Command, file string, env func(string) string) error {
	lines, err := readConfigFile(file, cmd.Flags())
	if err != nil {
		return err
	}
	var failed error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Changed || failed != nil || flag.Name == "config" || flag.Name == "help" {
			return
		}
		value, from := lines[flag.Name], file
		for _, variable := range variables(flag.Name) {
			if v := env(variable); v != "" {
				value, from = v, variable
			}
		}
		if value == "" {
			return
		}
		if err := flag.Value.Set(value); err != nil {
			failed = fmt.Errorf("%s: %q is no value for %s: %w", from, value, flag.Name, err)
		}
	})
	if failed != nil {
		return failed
	}
	if text := env("DEIS_DEFAULT_CONFIG_TAGS"); text != "" && len(o.DefaultTags) == 0 {
		if err := json.Unmarshal([]byte(text), &o.DefaultTags); err != nil {
			return fmt.Errorf(`DEIS_DEFAULT_CONFIG_TAGS: write {"key":"value"}: %w`, err)
		}
	}
	if err := o.deployHooks(env); err != nil {
		return err
	}
	o.lostProcfile(env)
	return o.validate()
}

// deployHooks reads the key and knows the names that Deis gave to both.
func (o *options) deployHooks(env func(string) string) error {
	o.DeployHookURLs = cmp.Or(o.DeployHookURLs, env("DEIS_DEPLOY_HOOK_URLS"))
	o.deployHookSecret = env("DEIS_DEPLOY_HOOK_SECRET_KEY")
	if o.DeployHookSecretFile != "" {
		text, err := os.ReadFile(o.DeployHookSecretFile)
		if err != nil {
			return fmt.Errorf("--deploy-hook-secret-file: %w", err)
		}
		o.deployHookSecret = strings.TrimSpace(string(text))
	}
	for _, text := range o.hookURLs() {
		if err := controller.CheckDeployHookURL(text); err != nil {
			return fmt.Errorf("--deploy-hook-urls: %w", err)
		}
	}
	return nil
}

func (o *options) hookURLs() []string {
	var urls []string
	for text := range strings.SplitSeq(o.DeployHookURLs, ",") {
		if text = strings.TrimSpace(text); text != "" {
			urls = append(urls, text)
		}
	}
	return urls
}

// lostProcfile knows the names of Deis.
func (o *options) lostProcfile(env func(string) string) {
	if reject, err := strconv.ParseBool(env("DEIS_DEPLOY_REJECT_IF_PROCFILE_MISSING")); err == nil && reject {
		o.RejectLostProcfile = true
	}
	if remove, err := strconv.ParseBool(env("DEIS_DEPLOY_PROCFILE_MISSING_REMOVE")); err == nil && !remove {
		o.KeepLostProcfile = true
	}
}

// readConfigFile reads "name = value" lines; # begins a comment.
func readConfigFile(path string, known *pflag.FlagSet) (map[string]string, error) {
	lines := make(map[string]string)
	if path == "" {
		return lines, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for n := 1; scanner.Scan(); n++ {
		line, _, _ := strings.Cut(scanner.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || known.Lookup(name) == nil {
			return nil, fmt.Errorf("%s:%d: %q is not an option; `slipway serve --help` lists them", path, n, name)
		}
		lines[name] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return lines, scanner.Err()
}

var domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func (o *options) validate() error {
	for name, address := range map[string]string{"http": o.HTTP, "https": o.HTTPS, "api": o.API, "ssh": o.SSH, "registry": o.Registry} {
		if name == "https" && address == "" {
			continue
		}
		if _, port, err := net.SplitHostPort(address); err != nil || !validPort(port) {
			return fmt.Errorf("--%s: %q is not an address; write host:port or :port", name, address)
		}
	}
	if err := o.checkProxies(); err != nil {
		return err
	}
	if err := errors.Join(o.checkRegistries(), o.checkCNB()); err != nil {
		return err
	}
	if err := errors.Join(o.runtime.validate(), o.access.validate(), o.clients.validate(), o.edge.validate()); err != nil {
		return err
	}
	o.Domain = strings.ToLower(strings.TrimSuffix(o.Domain, "."))
	if err := o.acme.validate(o.Domain); err != nil {
		return err
	}
	if o.TLSProfile != platform.TLSModern && o.TLSProfile != platform.TLSIntermediate {
		return fmt.Errorf("--tls-profile: %q is neither modern nor intermediate", o.TLSProfile)
	}
	switch {
	case !domainName.MatchString(o.Domain):
		return fmt.Errorf("--domain: %q is not a domain name", o.Domain)
	case o.State == "":
		return errors.New("--state: name a directory")
	case o.Database != "" && !strings.HasPrefix(o.Database, "postgres://") && !strings.HasPrefix(o.Database, "postgresql://"):
		return errors.New("--database: write postgres://user:password@host/name, or leave it out for SQLite")
	case o.Registration != "enabled" && o.Registration != "admin_only" && o.Registration != "disabled":
		return fmt.Errorf("--registration: %q is none of enabled, admin_only, disabled", o.Registration)
	case o.BuildTimeout <= 0 || o.BuildSilence <= 0 || o.DeployTimeout <= 0:
		return errors.New("--build-timeout, --build-silence and --deploy-timeout: a time above zero, such as 15m")
	case o.ImageGrace < time.Minute:
		return errors.New("--image-grace: a time of at least 1m; pushes that take longer from a layer to its manifest fail")
	case o.ImageQuota < 0 || o.ImageQuota > 1<<30:
		return errors.New("--image-quota: a number of MiB, or 0 for none")
	case o.KeepReleases < 0:
		return errors.New("--keep-releases: a number of releases, or 0 for all")
	case o.CronRuns < 0:
		return errors.New("--cron-runs: a number above zero, or 0 for twice the cores")
	case o.MaxPush <= 0 || o.BuildMemory <= 0 || o.BuildDisk <= 0 || o.BuildCache <= 0 || o.LogBytes <= 0:
		return errors.New("--max-push, --build-memory, --build-disk, --build-cache and --log-bytes: a number of MiB above zero")
	}
	for name, tags := range map[string]map[string]string{"node-tags": o.NodeTags, "default-tags": o.DefaultTags} {
		for key, value := range tags {
			if err := platform.ValidTag(key, value); err != nil {
				return fmt.Errorf("--%s: %s=%s: %w", name, key, value, err)
			}
		}
	}
	if o.AppMemory < 0 {
		return errors.New("--app-memory: a number of MiB, or 0 for half of the machine's")
	}
	state, err := filepath.Abs(o.State)
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	o.State = state
	if o.SecretKeyFile != "" {
		if o.SecretKeyFile, err = filepath.Abs(o.SecretKeyFile); err != nil {
			return fmt.Errorf("--secret-key-file: %w", err)
		}
	}
	// A unix socket's path may have 107 bytes on Linux.
	if longest := len(o.registrySocket()); longest > 107 {
		return fmt.Errorf("--state: %s is %d characters too long for the sockets in it; choose a shorter path", o.State, longest-107)
	}
	return nil
}

// checkRegistries reads what is said of registries elsewhere.
func (o *options) checkRegistries() (err error) {
	if o.hosts, err = images.ParseHosts(o.RegistryMirrors, o.InsecureRegistries, o.RegistryCAs); err != nil {
		return fmt.Errorf("--registry-mirrors, --insecure-registries, --registry-cas: %w", err)
	}
	if o.MaxImage <= 0 || o.MaxImage > 1<<40>>20 || o.PullTimeout <= 0 {
		return errors.New("--max-image: a number of MiB above zero, up to a TiB; --pull-timeout: a time above zero, such as 30m")
	}
	return nil
}

func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n <= 65535
}

// defaultState is /var/lib/slipway for root, $XDG_STATE_HOME/slipway else.
func defaultState() string {
	if os.Geteuid() == 0 {
		return "/var/lib/slipway"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "slipway")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "slipway-"+runtime.GOOS)
	}
	return filepath.Join(home, ".local", "state", "slipway")
}

// The state directory's rooms.
func (o *options) controlSocket() string  { return filepath.Join(o.State, "run", "control.sock") }
func (o *options) apiSocket() string      { return filepath.Join(o.State, "run", "api.sock") }
func (o *options) registrySocket() string { return filepath.Join(o.State, "run", "registry.sock") }
func (o *options) nodeSocket() string     { return filepath.Join(o.State, "run", "node.sock") }
func (o *options) secretKeyFile() string  { return cmp.Or(o.SecretKeyFile, o.path("secret.key")) }
func (o *options) debugSocket(process string) string {
	return filepath.Join(o.State, "run", process+".pprof")
}
func (o *options) path(room string) string { return filepath.Join(o.State, room) }

// prepareState makes the state directory and says what is wrong with it.
func (o *options) prepareState() error {
	// 0711: apps' users pass through to their own files, and list nothing.
	if err := os.MkdirAll(o.State, 0o711); err != nil {
		return stateError(err)
	}
	for _, room := range []string{"run", "log"} {
		if err := os.MkdirAll(o.path(room), 0o700); err != nil {
			return stateError(err)
		}
	}
	return nil
}

func stateError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("state directory: %w: run as a user who may write there, or choose another with --state", err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("state directory: %w: make room, or choose another with --state", err)
	}
	return fmt.Errorf("state directory: %w: choose another with --state", err)
}
