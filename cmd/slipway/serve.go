package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/blobs"
	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/buildpack"
	"github.com/slipway-paas/slipway/internal/builder/cnb"
	"github.com/slipway-paas/slipway/internal/builder/dockerfile"
	"github.com/slipway-paas/slipway/internal/cert"
	"github.com/slipway-paas/slipway/internal/cert/acme"
	"github.com/slipway-paas/slipway/internal/cert/staple"
	"github.com/slipway-paas/slipway/internal/cli"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/doctor"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/gitserver"
	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
	"github.com/slipway-paas/slipway/internal/router"
	"github.com/slipway-paas/slipway/internal/sandbox"
	"github.com/slipway-paas/slipway/internal/sbom"
	"github.com/slipway-paas/slipway/internal/scheduler/local"
	"github.com/slipway-paas/slipway/internal/server"
	"github.com/slipway-paas/slipway/internal/stack"
	"github.com/slipway-paas/slipway/internal/store"
	"github.com/slipway-paas/slipway/internal/volume"
)

func serveCommand() *cobra.Command {
	var o options
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the control plane, and a node beside it unless one runs",
		Long: `Runs the control plane of the platform: REST API, git push, builds, releases, logs. It starts
"slipway node", which holds the edge and the apps, unless one runs already for the same state directory.

Ctrl-C stops the platform and its apps. SIGTERM, which is what systemd sends, stops the control plane alone:
the node and the apps serve on, and the next "slipway serve" finds them. SIGHUP has the file of --edge-defaults read again.

Every option is also SLIPWAY_<NAME> in the environment, and "name = value" in the file of --config.`,
		Example: `  slipway serve
  sudo slipway serve --http :80 --https :443 --domain example.com
  SLIPWAY_DATABASE=postgres://slipway@db/slipway slipway serve`,
		Args: cli.TakesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.fill(cmd, file, os.Getenv); err != nil {
				return cli.WrongUsage(cmd, err)
			}
			if err := o.takeDirectoryPassword(); err != nil {
				return err
			}
			o.acme.takeSecrets()
			return serve(cmd.Context(), logger(o.Verbose), &o)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", os.Getenv("SLIPWAY_CONFIG"), "file of options, a line \"name = value\" each")
	return cmd
}

// serve runs the control plane until a signal. Interrupt takes the node and
// the apps along when a control plane started the node; SIGTERM leaves them.
func serve(ctx context.Context, log *slog.Logger, o *options) (err error) {
	interrupted, end := signal.NotifyContext(ctx, os.Interrupt)
	defer end()
	ctx, end = signal.NotifyContext(interrupted, syscall.SIGTERM)
	defer end()
	again := make(chan os.Signal, 1)
	if o.edge.File != "" { // else it ends the process, as when a terminal is closed
		signal.Notify(again, syscall.SIGHUP)
		defer signal.Stop(again)
	}
	if err := o.prepareState(); err != nil {
		return err
	}
	unlock, err := lockState(o)
	if err != nil {
		return err
	}
	defer unlock()

	p, err := openPlane(ctx, log, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()

	go giveBack(ctx, 0)
	failed := make(chan error, 8)
	p.serve(failed)
	if err := startNode(ctx, log, o); err != nil {
		return err
	}
	watching, unwatch := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watchNode(watching, log, o, p.connected)
	}()
	defer func() { unwatch(); <-watched }()
	p.awaitNode(ctx)
	if err := p.controller.Start(ctx); err != nil {
		return err
	}
	if err := p.startACME(ctx, o); err != nil {
		return err
	}
	p.awaitEdge(ctx, log)
	if err := announce(o); err != nil {
		return err
	}
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		p.keepCertificate(watching, log, o)
	}()
	defer func() { unwatch(); <-kept }()
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		o.edge.follow(watching, log, again, p.controller.SetDefaults)
	}()
	defer func() { unwatch(); <-followed }()
	log.Info("ready", "url", o.apiURL(), "domain", o.Domain, "state", o.State)

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	if interrupted.Err() != nil && ownsNode(o) {
		log.Info("stopping the apps")
		stop, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return errors.Join(err, named("stop the node", stopNode(stop, o)))
	}
	return err
}

// plane is the control plane's parts, ready to serve.
type plane struct {
	controller *controller.Controller
	fleet      *fleet.Fleet
	keeper     *acme.Keeper // nil: certificates are not got from anybody
	password   string       // of the registry
	edge       int64        // the version that setEdge made
	doors      []door
	opened     inOrder
}

// door is a listener and what answers on it.
type door struct {
	name     string
	listener net.Listener
	serve    func(net.Listener) error
}

// serve opens every door; the first that fails is told to failed.
func (p *plane) serve(failed chan<- error) {
	for _, d := range p.doors {
		go func() {
			if err := d.serve(d.listener); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed <- named(d.name, err)
			}
		}()
	}
}

func (p *plane) close() error { return p.opened.close() }

// connected reports whether a node asks for its state.
func (p *plane) connected() bool {
	return slices.ContainsFunc(p.fleet.Nodes(), func(n fleet.Node) bool { return n.Connected })
}

// openPlane opens the parts in the order in which they need one another. What
// was opened is closed when a later part cannot be.
func openPlane(ctx context.Context, log *slog.Logger, o *options) (_ *plane, err error) {
	p := &plane{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()

	ring, err := o.ring()
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, log, o.databaseURL(), ring)
	if err != nil {
		return nil, err
	}
	p.opened.add(db.Close)
	bucket, err := blobs.Open(ctx, "file://"+o.path("blobs"))
	if err != nil {
		return nil, err
	}
	p.opened.add(bucket.Close)
	lines, err := logs.Open(log, logs.Options{Dir: o.path("logs"), BytesPerApp: o.LogBytes << 20})
	if err != nil {
		return nil, err
	}
	p.opened.add(lines.Close)
	if p.fleet, err = fleet.Open(log, fleet.Options{Dir: o.path("fleet"), Logs: lines, Keys: ring, Asked: p.asked}); err != nil {
		return nil, err
	}
	p.opened.add(closing(p.fleet.Close))
	stapler := staple.New(log, staple.Options{Set: p.fleet.Staple, Private: o.acme.OCSPPrivate})
	p.opened.add(closing(stapler.Close))
	p.fleet.OnCertificates(stapler.Told)

	if p.keeper, err = o.openACME(log, db, p.fleet); err != nil {
		return nil, err
	}
	if p.keeper != nil {
		p.opened.add(closing(p.keeper.Close))
	}
	directory, err := o.openDirectory(log)
	if err != nil {
		return nil, err
	}
	users := auth.New(log, db, auth.Options{
		Registration: o.Registration, Directory: directory,
		Cancelled: func(ctx context.Context, username string) {
			if err := errors.Join(p.controller.RefreshEdge(ctx), p.controller.CertifyAll(ctx)); err != nil {
				log.Warn("certificates of a cancelled user stayed", "user", username, "err", err)
			}
		},
	})
	p.opened.add(closing(users.Close))
	password, err := o.registryPassword(ring)
	if err != nil {
		return nil, err
	}
	builderKey, err := o.builderKey()
	if err != nil {
		return nil, err
	}
	shelf, err := o.openRegistry(log, db, users, password, p)
	if err != nil {
		return nil, err
	}
	p.opened.add(collectImages(log, shelf, o.collectEvery()))
	puller, err := images.New(images.Options{
		Hosts: o.hosts, Registry: "unix:" + o.registrySocket(), User: registryUser, Password: password,
		MaxBytes: o.MaxImage << 20, Timeout: o.PullTimeout,
	})
	if err != nil {
		return nil, err
	}
	p.opened.add(closing(puller.Close))
	box := sandbox.New(ctx, log, o.State)
	stacks, err := stack.New(log, stack.Options{Dir: o.path("stacks"), RegistryAddr: o.Registry, RegistryUser: registryUser, RegistryPassword: password})
	if err != nil {
		return nil, err
	}
	papers, err := sbom.New(log, sbom.Options{Dir: o.path("sbom"), RegistryAddr: o.Registry, RegistryUser: registryUser, RegistryPassword: password})
	if err != nil {
		return nil, err
	}
	packing := buildpackOptions(o, password)
	packing.Stack = func(ctx context.Context) (string, error) { return p.controller.StackInForce(ctx) }
	packs, err := buildpack.New(log, box, packing)
	if err != nil {
		return nil, err
	}
	files, err := dockerfile.New(log, dockerfileOptions(o, password))
	if err != nil {
		return nil, err
	}
	native, err := o.openCNB(log, box, puller, password)
	if err != nil {
		return nil, err
	}
	picker, err := builder.NewPicker(log, builder.PickerOptions{Dir: o.path("builds")}, builder.Builders{Dockerfile: files, NoDockerfile: dockerfile.Check, CNB: native, Buildpack: packs})
	if err != nil {
		return nil, err
	}
	var git *gitserver.Server
	scheduler := local.New(log, p.fleet)
	p.opened.add(closing(scheduler.Close))
	p.controller = controller.New(log, controller.Parts{
		Store: db, Blobs: bucket, Build: picker.Build, Images: puller, Scheduler: scheduler, Fleet: p.fleet, Logs: lines, Stacks: stacks, Shelf: shelf, SBOM: papers, Authority: p.authority(),
	}, controller.Options{
		Domain: o.Domain, URL: o.appURL, Reserved: reserved, DeployTimeout: o.DeployTimeout, Version: version, CronRuns: o.CronRuns, InstanceMemory: o.instanceMemory(),
		NodeTags: o.NodeTags, DefaultTags: o.DefaultTags, ImageQuota: o.ImageQuota << 20,
		DeployHookURLs: o.hookURLs(), DeployHookSecret: o.deployHookSecret,
		RejectLostProcfile: o.RejectLostProcfile, KeepLostProcfile: o.KeepLostProcfile,
		Volumes: volume.Dir(o.path("volumes")), TCPPorts: o.tcpPorts,
		CheckRoute: func(r platform.Route) error { return router.Check([]platform.Route{r}, nil) },
		Edge:       o.edge.words, HTTPSOnly: o.edge.HTTPSOnly, Whitelist: o.edge.whitelist, WhitelistYields: o.edge.WhitelistMode == "override", DefaultApp: o.edge.DefaultApp,
		Renamed: func(old, id string) error { return errors.Join(git.Rename(old, id), shelf.Rename(old, id)) },
		Destroyed: func(app string) {
			if err := errors.Join(git.Remove(app), packs.Forget(app), files.Forget(app), cnb.Forget(o.path(cnbRoom), app), shelf.Remove(context.WithoutCancel(ctx), app)); err != nil {
				log.Warn("files of a destroyed app stayed", "app", app, "err", err)
			}
		},
	})
	git, err = gitserver.New(log, users, p.controller, gitserver.Options{Dir: o.path("git"), MaxPushBytes: o.MaxPush << 20})
	if err != nil {
		return nil, err
	}
	p.password = password
	if err := p.setEdge(ctx, o); err != nil {
		return nil, err
	}
	api := server.New(log, p.controller, users, func(ctx context.Context) []doctor.Finding {
		return append(examine(ctx, o, p.fleet, box.Offer()), examineCertificates(p.keeper)...)
	}, o.serverOptions(p.fleet, builderKey))
	return p, p.listen(log, o, api, shelf, git)
}

// asked is told by the nodes which hosts clients came for.
func (p *plane) asked(hosts []string) {
	if p.keeper != nil {
		p.keeper.Asked(hosts)
	}
}

// authority is who gets certificates by itself; nil: nobody.
func (p *plane) authority() controller.Authority {
	if p.keeper == nil {
		return nil // not a nil *acme.Keeper, which is somebody
	}
	return p.keeper
}

// reserved are names that lead to the platform itself, or did on Deis.
var reserved = []string{"slipway", "deis", "git", "deis-builder", "slipway-builder", "deis-workflow-manager", "grafana", "registry", platform.StackRepository}

// setEdge tells the routers what is not an app's: the platform's own names,
// its certificate, and where images come from. The controller adds the
// certificates of the apps' domains.
func (p *plane) setEdge(ctx context.Context, o *options) error {
	certificate, err := cert.SelfSigned(o.path("cert"), o.Domain, p.certificateHosts(o)...)
	if err != nil {
		return err
	}
	tickets, err := p.controller.Tickets(ctx)
	if err != nil {
		return err
	}
	p.edge, err = p.controller.SetEdge(ctx, platform.EdgeState{
		Domain:       o.Domain,
		ControlHosts: o.controlHosts(), Tickets: tickets, OnDemand: o.acme.Mode == "on" && o.acme.OnDemand,
		// Not by their ports: while this process restarts, an app could listen there.
		Control:  "unix:" + o.apiSocket(),
		Registry: "unix:" + o.registrySocket(), RegistryUser: registryUser, RegistryPassword: p.password,
		Certificates: []platform.EdgeCertificate{certificate},
	})
	return err
}

// awaitNode blocks until the node has told what it runs, for a fleet that lost
// its files learns it from there, and asks for nothing twice. A node that does
// not come is no reason to do nothing.
func (p *plane) awaitNode(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = p.fleet.WaitSynced(ctx) // in the end everything is asked for
}

// awaitEdge blocks until the node's router leads to the API: who is told that
// the platform is ready asks there next. A node that does not come is watched
// over, and no reason to say nothing of the rest.
func (p *plane) awaitEdge(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.fleet.Acked(ctx, p.edge); err != nil {
		log.Warn("the edge is not ready", "err", err)
	}
}

// listen opens the doors. The API's port also answers git over HTTP and the
// registry, by host.
func (p *plane) listen(log *slog.Logger, o *options, api http.Handler, shelf *registry.Registry, git *gitserver.Server) error {
	byHost := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		switch strings.ToLower(host) {
		case "git." + o.Domain:
			git.ServeHTTP(w, r)
		case "registry." + o.Domain:
			shelf.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
	for _, web := range []struct {
		name, option, address string
		socket                string // the same for the node of this machine
		handler, inside       http.Handler
	}{
		{"API", "--api", o.API, o.apiSocket(), byHost, byHost},
		{"registry", "--registry", o.Registry, o.registrySocket(), shelf, shelf.Internal()},
	} {
		listener, err := listen(web.option, web.address)
		if err != nil {
			return err
		}
		p.web(log, web.name, listener, web.handler)
		if listener, err = listenUnix(web.socket); err != nil {
			return err
		}
		p.web(log, web.name+" socket", listener, web.inside)
	}
	control, err := listenUnix(o.controlSocket())
	if err != nil {
		return err
	}
	p.web(log, "control socket", control, p.fleet.Handler())
	debug, err := listenUnix(o.debugSocket("serve"))
	if err != nil {
		return err
	}
	p.web(log, "debug socket", debug, profiles())
	p.opened.add(closing(p.fleet.Close)) // ends the nodes' waits, which the socket's end would wait for
	ssh, err := listen("--ssh", o.SSH)
	if err != nil {
		return err
	}
	p.doors = append(p.doors, door{"git over SSH", ssh, func(l net.Listener) error { return git.ServeSSH(context.Background(), l) }})
	p.opened.add(func() error {
		// Pushes first: they end in the controller, which ends next.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = git.Close(ctx) // a push that is cut here is told so
		p.controller.Close()
		return nil
	})
	return nil
}

// web adds an HTTP door that is shut within two seconds.
func (p *plane) web(log *slog.Logger, name string, listener net.Listener, handler http.Handler) {
	web := server.NewHTTP(log, handler)
	p.doors = append(p.doors, door{name, listener, web.Serve})
	p.opened.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if web.Shutdown(ctx) != nil {
			_ = web.Close() // what is left waits for outcomes; the work goes on at the next start
		}
		return nil
	})
}

// lockState makes this process the only control plane of the state directory.
func lockState(o *options) (unlock func(), err error) {
	path := filepath.Join(o.State, "serve.lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, stateError(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) // only for the message
		file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, named("lock "+path, err)
		}
		return nil, &platform.UserError{Kind: platform.ErrConflict, Message: fmt.Sprintf(
			"another slipway serve (pid %s) runs on %s: stop it, or give this one its own --state", strings.TrimSpace(string(holder)), o.State)}
	}
	if err := errors.Join(file.Truncate(0), writePid(file)); err != nil {
		file.Close()
		return nil, stateError(err)
	}
	return func() { file.Close() }, nil
}

func writePid(file *os.File) error {
	_, err := fmt.Fprintln(file, os.Getpid())
	return err
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
