package server

import (
	"maps"
	"slices"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) listVolumes(c *call) (answer, error) {
	volumes, err := s.desk.Volumes(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	body := api.Volumes{Volumes: make([]api.Volume, 0, len(volumes))}
	for _, one := range volumes {
		body.Volumes = append(body.Volumes, wireVolume(one))
	}
	return ok(body)
}

func wireVolume(v controller.VolumeStatus) api.Volume {
	wire := api.Volume{Name: v.Name, Mounts: v.Mounts, Data: v.Kept, Removed: v.Removed, HeldBy: v.HeldBy}
	if wire.Mounts == nil {
		wire.Mounts = map[string]string{}
	}
	if wire.HeldBy == nil {
		wire.HeldBy = []string{}
	}
	return wire
}

func (s *server) setVolume(c *call) (answer, error) {
	f := c.body
	name, mounts := f.required("name"), f.mounts()
	if err := f.err(); err != nil {
		return answer{}, err
	}
	volume, err := s.desk.SetVolume(c.ctx(), c.caller, c.app(), name, mounts)
	if err != nil {
		return answer{}, err
	}
	return created(wireVolume(controller.VolumeStatus{Volume: volume}))
}

// mounts reads a map of process types to paths in which null unmounts.
func (f *fields) mounts() map[string]*string {
	if !f.given("mounts") {
		return nil
	}
	object, _ := f.object("mounts")
	mounts := make(map[string]*string, len(object))
	for _, process := range slices.Sorted(maps.Keys(object)) {
		if null(object[process]) {
			mounts[process] = nil
			continue
		}
		at, message := scalar(object[process])
		if message != "" {
			f.reject("mounts", message)
		}
		mounts[process] = &at
	}
	return mounts
}

func (s *server) removeVolume(c *call) (answer, error) {
	data := false
	switch c.r.URL.Query().Get("data") {
	case "", "keep":
	case "delete":
		data = true
	default:
		return answer{}, platform.Invalid("data", "data is keep or delete")
	}
	if err := s.desk.RemoveVolume(c.ctx(), c.caller, c.app(), c.path["name"], data); err != nil {
		return answer{}, err
	}
	return noContent()
}
