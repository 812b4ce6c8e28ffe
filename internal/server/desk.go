package server

import (
	"context"
	"time"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Desk is what this door needs of *controller.Controller, whose comments are
// its contract.
type Desk interface {
	May(ctx context.Context, caller platform.Caller, app string, need platform.Role) error
	Ready(ctx context.Context) error

	CreateApp(ctx context.Context, caller platform.Caller, id string) (platform.App, error)
	Apps(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.App, int, error)
	App(ctx context.Context, caller platform.Caller, id string) (platform.App, error)
	DestroyApp(ctx context.Context, caller platform.Caller, id string) error
	Hosts(ctx context.Context, caller platform.Caller, app string) ([]string, error)

	Config(ctx context.Context, caller platform.Caller, app string) (platform.Config, error)
	SetConfig(ctx context.Context, caller platform.Caller, app string, patch controller.ConfigPatch) (platform.Config, error)

	Builds(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Build, int, error)
	Build(ctx context.Context, caller platform.Caller, app, uuid string) (platform.Build, error)
	Releases(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Release, int, error)
	Release(ctx context.Context, caller platform.Caller, app string, version int) (platform.Release, error)
	Rollback(ctx context.Context, caller platform.Caller, app string, version int) (platform.Release, error)

	Scale(ctx context.Context, caller platform.Caller, app string, formation map[string]int) error
	Instances(ctx context.Context, caller platform.Caller, app, process, instance string) ([]platform.Instance, error)
	Restart(ctx context.Context, caller platform.Caller, app, process, instance string) ([]platform.Instance, error)
	Run(ctx context.Context, caller platform.Caller, app, command string, stream platform.IO) (int, error)
	Logs(ctx context.Context, caller platform.Caller, app string, q controller.LogQuery, yield func(platform.LogLine) bool) error

	Domains(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Domain, int, error)
	AddDomain(ctx context.Context, caller platform.Caller, app, domain string) (platform.Domain, error)
	RemoveDomain(ctx context.Context, caller platform.Caller, app, domain string) error

	Settings(ctx context.Context, caller platform.Caller, app string) (platform.Settings, error)
	SetSettings(ctx context.Context, caller platform.Caller, app string, patch controller.SettingsPatch) (platform.Settings, error)
	Whitelist(ctx context.Context, caller platform.Caller, app string) ([]string, error)
	AddWhitelist(ctx context.Context, caller platform.Caller, app string, addresses []string) ([]string, error)
	RemoveWhitelist(ctx context.Context, caller platform.Caller, app string, addresses []string) error
	TLS(ctx context.Context, caller platform.Caller, app string) (platform.TLS, error)
	SetTLS(ctx context.Context, caller platform.Caller, app string, enforced bool) (platform.TLS, error)
	HostCertificates(ctx context.Context, caller platform.Caller, app string) (all []platform.HostCertificate, automatic bool, err error)
	SetAutomatic(ctx context.Context, caller platform.Caller, app string, automatic bool) error
	Services(ctx context.Context, caller platform.Caller, app string) ([]platform.Service, error)
	SetService(ctx context.Context, caller platform.Caller, app, process, pattern string) (changed bool, err error)
	RemoveService(ctx context.Context, caller platform.Caller, app, process string) error
	Edge(ctx context.Context, caller platform.Caller, app string) (platform.Edge, error)
	PatchEdge(ctx context.Context, caller platform.Caller, app string, patch platform.EdgePatch) (platform.Edge, error)
	ResetEdge(ctx context.Context, caller platform.Caller, app string) error
	Ports(ctx context.Context, caller platform.Caller, app string) ([]platform.Port, error)
	AddPort(ctx context.Context, caller platform.Caller, app string, port controller.NewPort) (platform.Port, error)
	RemovePort(ctx context.Context, caller platform.Caller, app string, listen int) error
	CutoverOf(ctx context.Context, caller platform.Caller, app string) (controller.CutoverStatus, error)
	SetStrategy(ctx context.Context, caller platform.Caller, app string, words map[string]string) (controller.CutoverStatus, error)
	PromoteCutover(ctx context.Context, caller platform.Caller, app string) (controller.CutoverStatus, error)
	AbortCutover(ctx context.Context, caller platform.Caller, app string) (controller.CutoverStatus, error)
	Volumes(ctx context.Context, caller platform.Caller, app string) ([]controller.VolumeStatus, error)
	SetVolume(ctx context.Context, caller platform.Caller, app, name string, mounts map[string]*string) (platform.Volume, error)
	RemoveVolume(ctx context.Context, caller platform.Caller, app, name string, data bool) error

	Crons(ctx context.Context, caller platform.Caller, app string) ([]controller.CronStatus, error)
	Cron(ctx context.Context, caller platform.Caller, app, process string) (controller.CronStatus, error)
	SetCron(ctx context.Context, caller platform.Caller, app, process string, patch controller.CronPatch) (controller.CronStatus, error)
	RemoveCron(ctx context.Context, caller platform.Caller, app, process string) error
	CronRuns(ctx context.Context, caller platform.Caller, app, process string, page platform.Page) ([]platform.CronRun, int, error)
	CronRun(ctx context.Context, caller platform.Caller, app, process, uuid string) (platform.CronRun, error)
	RunCron(ctx context.Context, caller platform.Caller, app, process string) (platform.CronRun, error)

	Groups(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.ConfigGroup, int, error)
	Group(ctx context.Context, caller platform.Caller, name string) (controller.GroupStatus, error)
	CreateGroup(ctx context.Context, caller platform.Caller, name string) (platform.ConfigGroup, error)
	SetGroup(ctx context.Context, caller platform.Caller, name string, patch map[string]*string) (controller.GroupStatus, []controller.GroupDeploy, error)
	DestroyGroup(ctx context.Context, caller platform.Caller, name string) error
	GroupsOf(ctx context.Context, caller platform.Caller, app string) ([]controller.AppOfGroup, error)
	AttachGroup(ctx context.Context, caller platform.Caller, app, name string) (controller.AppOfGroup, error)
	DetachGroup(ctx context.Context, caller platform.Caller, app, name string) error

	Certificates(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.Certificate, int, error)
	Certificate(ctx context.Context, caller platform.Caller, name string) (platform.Certificate, error)
	AddCertificate(ctx context.Context, caller platform.Caller, name, chain, key string) (platform.Certificate, error)
	RemoveCertificate(ctx context.Context, caller platform.Caller, name string) error
	Attach(ctx context.Context, caller platform.Caller, name, domain string, replace bool) error
	Detach(ctx context.Context, caller platform.Caller, name, domain string) error

	Transfer(ctx context.Context, caller platform.Caller, app, owner string) error
	Rename(ctx context.Context, caller platform.Caller, app, id string) (platform.App, error)
	Collaborators(ctx context.Context, caller platform.Caller, app string) ([]platform.Collaborator, error)
	Grant(ctx context.Context, caller platform.Caller, app, user string, role platform.Role) error
	Revoke(ctx context.Context, caller platform.Caller, app, user string) error
	CreateBuild(ctx context.Context, caller platform.Caller, app string, build controller.NewBuild) (platform.Build, platform.Release, error)
	Exec(ctx context.Context, caller platform.Caller, app, instance, command string, stream platform.IO) (exit int, err error)
	Audit(ctx context.Context, caller platform.Caller, query platform.EventQuery) ([]platform.Event, int, error)
	AppsOf(ctx context.Context, user string) ([]string, error)

	Stacks
	Images
	Papers
}

var _ Desk = (*controller.Controller)(nil)

// Users is what this door needs of *auth.Auth, whose comments are its contract.
type Users interface {
	Register(ctx context.Context, caller platform.Caller, user auth.NewUser) (platform.User, error)
	Login(ctx context.Context, username, password, from string) (token string, err error)
	ByToken(ctx context.Context, token string) (platform.Caller, platform.User, error)
	SetPassword(ctx context.Context, caller platform.Caller, username, old, new string) error
	RegenerateAll(ctx context.Context, caller platform.Caller) error
	RegenerateTokens(ctx context.Context, caller platform.Caller, username string) (token string, err error)
	Cancel(ctx context.Context, caller platform.Caller, username string) error
	User(ctx context.Context, caller platform.Caller) (platform.User, error)
	Users(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.User, int, error)

	Keys(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.Key, int, error)
	Key(ctx context.Context, caller platform.Caller, id string) (platform.Key, error)
	AddKey(ctx context.Context, caller platform.Caller, id, public string) (platform.Key, error)
	DeleteKey(ctx context.Context, caller platform.Caller, id string) error
	KeyByMD5(ctx context.Context, fingerprint string) (platform.Key, error)
	KeysOf(ctx context.Context, username string) ([]platform.Key, error)

	Superusers(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.User, int, error)
	SetSuperuser(ctx context.Context, caller platform.Caller, username string, superuser bool) error
	Tokens(ctx context.Context, caller platform.Caller) ([]platform.Token, error)
	CreateToken(ctx context.Context, caller platform.Caller, name string, scope platform.Scope, lifetime time.Duration) (secret string, token platform.Token, err error)
	RevokeToken(ctx context.Context, caller platform.Caller, name string) error
}

var _ Users = (*auth.Auth)(nil)
