package server

import (
	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const maxKeyID = 128

func (s *server) listKeys(c *call) (answer, error) {
	keys, count, err := s.users.Keys(c.ctx(), c.caller, c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, keys, count, wireKey)
}

func (s *server) addKey(c *call) (answer, error) {
	f := c.body
	id, public := f.required("id"), f.required("public")
	f.short("id", maxKeyID)
	if err := f.err(); err != nil {
		return answer{}, err
	}
	key, err := s.users.AddKey(c.ctx(), c.caller, id, public)
	if err != nil {
		return answer{}, err
	}
	return created(wireKey(key))
}

func (s *server) getKey(c *call) (answer, error) {
	key, err := s.users.Key(c.ctx(), c.caller, c.path["id"])
	if err != nil {
		return answer{}, err
	}
	return ok(wireKey(key))
}

func (s *server) deleteKey(c *call) (answer, error) {
	if err := s.users.DeleteKey(c.ctx(), c.caller, c.path["id"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func wireKey(k platform.Key) api.Key {
	return api.Key{
		UUID: k.UUID, Owner: k.Owner, ID: k.ID, Public: k.Public, Fingerprint: k.Fingerprint,
		Created: api.At(k.Created), Updated: api.At(k.Updated),
	}
}
