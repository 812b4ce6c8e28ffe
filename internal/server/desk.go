package server

import (
	"context"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Desk is what this door needs of *controller.Controller, whose comments are
// its contract.
type Desk interface {
	Authorize(ctx context.Context, caller platform.Caller, app string) error
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
}

var _ Desk = (*controller.Controller)(nil)

// Users is what this door needs of *auth.Auth, whose comments are its contract.
type Users interface {
	Register(ctx context.Context, caller platform.Caller, user auth.NewUser) (platform.User, error)
	Login(ctx context.Context, username, password, from string) (token string, err error)
	ByToken(ctx context.Context, token string) (platform.Caller, platform.User, error)
	SetPassword(ctx context.Context, caller platform.Caller, username, old, new string) error
	RegenerateTokens(ctx context.Context, caller platform.Caller, username string) (token string, err error)
	Cancel(ctx context.Context, caller platform.Caller, username string) error
	Users(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.User, int, error)

	Keys(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.Key, int, error)
	Key(ctx context.Context, caller platform.Caller, id string) (platform.Key, error)
	AddKey(ctx context.Context, caller platform.Caller, id, public string) (platform.Key, error)
	DeleteKey(ctx context.Context, caller platform.Caller, id string) error
}

var _ Users = (*auth.Auth)(nil)
