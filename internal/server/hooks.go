package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// authenticateBuilder lets in whoever shows the builder's key. It compares
// digests, which takes the same time whatever is shown. Users are told that
// this is not for them, and strangers that they are strangers.
func (s *server) authenticateBuilder(c *call) error {
	shown, key := sha256.Sum256([]byte(c.r.Header.Get(api.HeaderBuilderAuth))), sha256.Sum256([]byte(s.opts.BuilderKey))
	if subtle.ConstantTimeCompare(shown[:], key[:]) == 1 && s.opts.BuilderKey != "" {
		c.caller = platform.Caller{User: "builder", From: c.from}
		return nil
	}
	if err := s.authenticate(c); err != nil {
		return err
	}
	return platform.ErrForbidden
}

// callerOf is a user by name, for the builder that speaks for them.
func (s *server) callerOf(c *call, username string) (platform.Caller, error) {
	user, err := s.users.User(c.ctx(), platform.Caller{User: username})
	if err != nil {
		return platform.Caller{}, err
	}
	if !user.Active {
		return platform.Caller{}, fmt.Errorf("user %s is not active: %w", username, platform.ErrForbidden)
	}
	return platform.Caller{User: user.Username, Admin: user.Superuser, From: c.from}, nil
}

// hookKey tells whose key it is and what its owner may push to.
func (s *server) hookKey(c *call) (answer, error) {
	fingerprint := c.path["fingerprint"]
	key, err := s.users.KeyByMD5(c.ctx(), fingerprint)
	if err != nil {
		return answer{}, err
	}
	if _, err := s.callerOf(c, key.Owner); err != nil {
		return answer{}, &platform.NotFoundError{Kind: "Key", ID: fingerprint}
	}
	apps, err := s.desk.AppsOf(c.ctx(), key.Owner)
	if err != nil {
		return answer{}, err
	}
	return ok(api.HookKey{Username: key.Owner, Apps: some(apps)})
}

// hookKeys are the keys of those the app is shared with and who may push to it.
func (s *server) hookKeys(c *call) (answer, error) {
	shared, err := s.desk.Collaborators(c.ctx(), platform.System, c.app())
	if err != nil {
		return answer{}, err
	}
	keys := map[string][]api.HookPublicKey{}
	for _, one := range shared {
		if !one.Role.Covers(platform.RoleDeployer) {
			continue
		}
		if keys[one.User], err = s.publicKeys(c, one.User); err != nil {
			return answer{}, err
		}
	}
	return ok(keys)
}

func (s *server) hookKeysOf(c *call) (answer, error) {
	username := c.path["username"]
	caller, err := s.callerOf(c, username)
	if err != nil {
		return answer{}, err
	}
	if err := s.desk.May(c.ctx(), caller, c.app(), platform.RoleDeployer); err != nil {
		return answer{}, err
	}
	keys, err := s.publicKeys(c, username)
	if err != nil {
		return answer{}, err
	}
	if len(keys) == 0 {
		return answer{}, &platform.UserError{Kind: platform.ErrNotFound, Message: "No Keys match the given query."}
	}
	return ok(map[string][]api.HookPublicKey{username: keys})
}

func (s *server) publicKeys(c *call, username string) ([]api.HookPublicKey, error) {
	keys, err := s.users.KeysOf(c.ctx(), username)
	if err != nil {
		return nil, err
	}
	public := make([]api.HookPublicKey, 0, len(keys))
	for _, key := range keys {
		public = append(public, api.HookPublicKey{Key: key.Public, Fingerprint: key.Fingerprint})
	}
	return public, nil
}

// received reads who pushed, and what to.
func (s *server) received(c *call, f *fields) (platform.Caller, string, error) {
	username, app := f.required("receive_user"), f.required("receive_repo")
	if app != "" && !forms["app"].MatchString(app) {
		f.check(&platform.NotFoundError{Kind: "App", ID: clip(app)})
	}
	if err := f.err(); err != nil {
		return platform.Caller{}, "", err
	}
	caller, err := s.callerOf(c, username)
	if err != nil {
		return platform.Caller{}, "", err
	}
	return caller, app, s.desk.May(c.ctx(), caller, app, platform.RoleDeployer)
}

// hookConfig answers the config a build needs. Who may push sees it through
// the build's environment anyway, so it is read for the platform.
func (s *server) hookConfig(c *call) (answer, error) {
	_, app, err := s.received(c, &c.body)
	if err != nil {
		return answer{}, err
	}
	config, err := s.desk.Config(c.ctx(), platform.System, app)
	if err != nil {
		return answer{}, err
	}
	config.Values, config.Groups = config.Env(), nil // what a build sees
	return ok(wireConfig(config))
}

func (s *server) hookBuild(c *call) (answer, error) {
	f := c.body
	build := f.build()
	caller, app, err := s.received(c, &f)
	if err != nil {
		return answer{}, err
	}
	_, release, err := s.desk.CreateBuild(c.ctx(), caller, app, build)
	if err != nil {
		return answer{}, deploying(err)
	}
	return ok(api.HookBuilt{Release: api.RolledBack{Version: release.Version}})
}
