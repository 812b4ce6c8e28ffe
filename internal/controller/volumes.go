package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// An app's volumes are part of its config: to add, mount and unmount one makes
// a release, and a rollback brings mounts back. Their data is no part of it: it
// stays when a volume is removed, until its deletion is asked for. That is a
// row, which the app's lane makes true once no instance has the volume.

// VolumeStatus is a volume and what is known of its data.
type VolumeStatus struct {
	platform.Volume
	// Removed: it is no longer in the config; its data was kept.
	Removed bool
	// Kept: there is data of it.
	Kept bool
	// HeldBy are the instances that have it, or shall have it.
	HeldBy []string
}

// Volumes lists the app's volumes by name, and after them those that were
// removed and whose data was kept.
func (c *Controller) Volumes(ctx context.Context, caller platform.Caller, app string) ([]VolumeStatus, error) {
	type rows struct {
		uuid    string
		volumes map[string]platform.Volume
	}
	found, err := read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, a platform.App) (rows, error) {
		current, err := currentDeployable(tx, app)
		if err != nil || current == nil {
			return rows{uuid: a.UUID}, err
		}
		return rows{a.UUID, current.config.Volumes}, nil
	})
	if err != nil {
		return nil, err
	}
	kept, err := c.options.Volumes.Kept(found.uuid)
	if err != nil {
		return nil, err
	}
	var all []VolumeStatus
	for _, name := range slices.Sorted(maps.Keys(found.volumes)) {
		all = append(all, VolumeStatus{Volume: found.volumes[name], Kept: slices.Contains(kept, name), HeldBy: c.heldBy(app, name)})
	}
	for _, name := range kept {
		if _, there := found.volumes[name]; !there {
			all = append(all, VolumeStatus{Volume: platform.Volume{Name: name}, Removed: true, Kept: true, HeldBy: c.heldBy(app, name)})
		}
	}
	return all, nil
}

// SetVolume makes the volume unless the app has it, and changes where it is
// mounted: a path mounts it in a process type, nil unmounts it. It is a new
// release, as a change of the config is, and its data stays what it is.
func (c *Controller) SetVolume(ctx context.Context, caller platform.Caller, app, name string, mounts map[string]*string) (platform.Volume, error) {
	if err := validMounts(name, mounts); err != nil {
		return platform.Volume{}, err
	}
	var volume platform.Volume
	err := c.changeVolumes(ctx, caller, app, func(_ *store.Tx, current *deployable, volumes map[string]platform.Volume) (err error) {
		if volume, err = mounted(current, volumes[name], name, mounts); err != nil {
			return err
		}
		volumes[name] = volume
		return nil
	})
	return volume, err
}

// validMounts checks what the request alone can tell.
func validMounts(name string, mounts map[string]*string) error {
	errs := []error{platform.ValidVolumeName(name)}
	for _, process := range slices.Sorted(maps.Keys(mounts)) {
		switch at := mounts[process]; {
		case !platform.ValidProcessType(process):
			errs = append(errs, platform.Invalid("mounts", "%.70q cannot name a process type", process))
		case process == platform.ProcessRelease:
			errs = append(errs, platform.Invalid("mounts", "The release process mounts no volume: it runs while the process type that has one still does."))
		case at != nil:
			errs = append(errs, platform.ValidMountPath(*at))
		}
	}
	return errors.Join(errs...)
}

// mounted is a volume with its mounts patched.
func mounted(current *deployable, volume platform.Volume, name string, mounts map[string]*string) (platform.Volume, error) {
	volume.Name = name
	for _, process := range slices.Sorted(maps.Keys(mounts)) {
		if mounts[process] != nil && current.hasBuild() && !slices.Contains(processesOf(current.build), process) {
			return volume, &platform.UserError{Kind: platform.ErrNotFound, Message: fmt.Sprintf("Container type %s does not exist in application", process)}
		}
	}
	var err error
	volume.Mounts, err = patched("the mounts of "+name, volume.Mounts, mounts)
	return volume, err
}

// changeVolumes makes and deploys a release with volumes changed by change.
func (c *Controller) changeVolumes(ctx context.Context, caller platform.Caller, app string, change func(*store.Tx, *deployable, map[string]platform.Volume) error) error {
	release, err := c.newRelease(ctx, caller, app, platform.RoleOperator, func(tx *store.Tx, current *deployable) (platform.Release, error) {
		config := current.config
		config.Volumes = maps.Clone(config.Volumes)
		if config.Volumes == nil {
			config.Volumes = make(map[string]platform.Volume)
		}
		if err := change(tx, current, config.Volumes); err != nil {
			return platform.Release{}, err
		}
		if err := platform.ValidVolumes(config.Volumes); err != nil {
			return platform.Release{}, err
		}
		summary := changes(caller.User, current.config, config)
		if summary == "" {
			return platform.Release{}, &platform.UserError{Kind: platform.ErrConflict, Message: caller.User + " changed nothing - release stopped"}
		}
		now := time.Now().Truncate(time.Second).UTC()
		config.UUID, config.Owner, config.Created, config.Updated = uuid.NewString(), caller.User, now, now
		if err := tx.InsertConfig(config); err != nil {
			return platform.Release{}, err
		}
		err := tx.InsertEvent(event(caller, "config.changed", app, changedKeys(current.config, config)))
		return platform.Release{Config: config.UUID, Build: current.release.Build, Summary: summary}, err
	})
	if err != nil {
		return err
	}
	c.note(app, "INFO %s", release.Summary)
	_, err = c.outcome(ctx, app, release.Version)
	return err
}

// oneWriter refuses a release in which a volume would have two writers, or
// whose data is being deleted. It is asked of every release: a rollback may
// bring back mounts of another time.
func oneWriter(tx *store.Tx, app platform.App, release platform.Release) error {
	config, err := tx.Config(release.Config)
	if err != nil || len(config.Volumes) == 0 {
		return err
	}
	forgotten, err := tx.ForgottenVolumes(app.UUID)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(config.Volumes)) {
		if slices.Contains(forgotten, name) {
			return &platform.UserError{
				Kind: platform.ErrBusy, Message: fmt.Sprintf("The data of volume %s is being deleted.", name),
				Cure: "Try again when it has gone: slipway volumes lists it as long.",
			}
		}
		for process := range config.Volumes[name].Mounts {
			if err := writers(process, name, app.Formation[process]); err != nil {
				return err
			}
		}
	}
	return nil
}

// writers refuses more than one instance of a process type that has a volume.
func writers(process, volume string, quantity int) error {
	if quantity <= 1 {
		return nil
	}
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("%s mounts volume %s, which has one writer at a time: it cannot run %d times.", process, volume, quantity),
		Cure:    fmt.Sprintf("Keep it at one with `slipway ps scale %s=1`, or unmount the volume with `slipway volumes unmount %s %s`.", process, volume, process),
	}
}

// volumeOf is the first volume that a process type mounts, or empty.
func volumeOf(config platform.Config, process string) string {
	for _, name := range slices.Sorted(maps.Keys(config.Volumes)) {
		if config.Volumes[name].Mounts[process] != "" {
			return name
		}
	}
	return ""
}

// forgetWait bounds how long RemoveVolume waits for the last to have a volume.
const forgetWait = time.Minute

// RemoveVolume takes a volume out of the config, as a new release. Its data
// stays, and is found again by a volume of that name, unless data says that it
// shall go for good; then it returns when it has. What was removed before may
// be named again for that.
func (c *Controller) RemoveVolume(ctx context.Context, caller platform.Caller, app, name string, data bool) error {
	if err := platform.ValidVolumeName(name); err != nil {
		return err
	}
	need := platform.RoleOperator
	if data {
		need = platform.RoleAdmin
	}
	if err := c.allow(ctx, caller, app, need); err != nil {
		return err
	}
	missing := &platform.NotFoundError{Kind: "Volume", ID: name}
	err := c.changeVolumes(ctx, caller, app, func(_ *store.Tx, _ *deployable, volumes map[string]platform.Volume) error {
		if _, has := volumes[name]; !has {
			return missing
		}
		delete(volumes, name)
		return nil
	})
	if !data || err != nil && !errors.Is(err, missing) {
		return err
	}
	return c.forgetVolume(ctx, caller, app, name, err != nil)
}

// forgetVolume has the data of a volume that is in no config deleted, and waits
// for it. When it must be there, a volume without data is not found.
func (c *Controller) forgetVolume(ctx context.Context, caller platform.Caller, app, name string, must bool) error {
	var id string
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		a, err := may(tx, caller, app, platform.RoleAdmin)
		if err != nil {
			return err
		}
		if err := idle(tx, a); err != nil {
			return err
		}
		current, err := currentDeployable(tx, app)
		if err != nil {
			return err
		}
		if _, back := current.config.Volumes[name]; back {
			return &platform.UserError{Kind: platform.ErrConflict, Message: fmt.Sprintf("Volume %s is in use again.", name)}
		}
		kept, err := c.options.Volumes.Kept(a.UUID)
		if err != nil {
			return err
		}
		if must && !slices.Contains(kept, name) {
			return &platform.NotFoundError{Kind: "Volume", ID: name}
		}
		id = a.UUID
		err = tx.ForgetVolume(a.UUID, app, name)
		return errors.Join(err, tx.InsertEvent(event(caller, "volume.deleted", app, map[string]string{"volume": name})))
	})
	if err != nil {
		return err
	}
	c.wake(app)
	return c.volumeGone(ctx, app, id, name)
}

// volumeGone blocks until a volume's data has gone, or says who has it.
func (c *Controller) volumeGone(ctx context.Context, app, id, name string) error {
	wait, cancel := context.WithTimeout(ctx, forgetWait)
	defer cancel()
	err := c.await(wait, app, nil, func() (bool, error) {
		var left []string
		err := c.store.Read(wait, func(tx *store.Tx) (err error) {
			left, err = tx.ForgottenVolumes(id)
			return err
		})
		return !slices.Contains(left, name), err
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &platform.UserError{
			Kind: platform.ErrConflict, Message: fmt.Sprintf("Volume %s is still held by %v.", name, c.holders(app, name)),
			Cure: "Its data goes as soon as that has ended.",
		}
	}
	return err
}

// holders are the instances of an app that may have a volume: those that shall,
// and those on their way out, of which it is no longer known.
func (c *Controller) holders(app, name string) []string {
	wanted, _ := c.fleet.Wanted(app)
	var ids []string
	known := make(map[string]bool, len(wanted))
	for _, instance := range wanted {
		known[instance.ID] = true
		if mountsVolume(instance, name) {
			ids = append(ids, instance.ID)
		}
	}
	for _, instance := range c.fleet.Instances(app) {
		if !known[instance.ID] {
			ids = append(ids, instance.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func mountsVolume(instance platform.InstanceSpec, volume string) bool {
	return slices.ContainsFunc(instance.Spec.Mounts, func(m platform.Mount) bool { return m.Volume == volume })
}

// heldBy are the holders as people are told of them: a volume has one writer,
// so that none of the others has it once a wanted one is up with it.
func (c *Controller) heldBy(app, name string) []string {
	wanted, _ := c.fleet.Wanted(app)
	if id := writer(wanted, c.fleet.Instances(app), name); id != "" {
		return []string{id}
	}
	return c.holders(app, name)
}

// writer is the instance that is wanted and up with a volume, or "".
func writer(wanted []platform.InstanceSpec, seen []platform.Instance, volume string) string {
	for _, instance := range seen {
		if instance.State == platform.InstanceUp && slices.ContainsFunc(wanted, func(s platform.InstanceSpec) bool {
			return s.ID == instance.ID && mountsVolume(s, volume)
		}) {
			return instance.ID
		}
	}
	return ""
}

// forget deletes the data of volumes that shall go and that nobody has. It is
// a step of the app's lane, so that nobody begins to have one meanwhile.
func (c *Controller) forget(ctx context.Context, w wish) error {
	if len(w.forgotten) == 0 {
		return nil
	}
	if err := c.fleet.WaitSynced(ctx); err != nil {
		return err
	}
	for _, name := range w.forgotten {
		if len(c.holders(w.app.ID, name)) > 0 {
			continue // woken again as they leave
		}
		if err := c.options.Volumes.Remove(w.app.UUID, name); err != nil {
			return fmt.Errorf("delete volume %s: %w", name, err)
		}
		if err := c.store.Write(ctx, func(tx *store.Tx) error { return tx.VolumeForgotten(w.app.UUID, name) }); err != nil {
			return err
		}
		c.note(w.app.ID, "INFO the data of volume %s was deleted", name)
	}
	return nil
}

// forgetAll deletes the volumes of destroyed apps that had this id, of which
// nothing runs by it any more. Data first: what a crash leaves is deleted again.
func (c *Controller) forgetAll(ctx context.Context, app string) error {
	var uuids []string
	var others map[string]bool
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		uuids, others, err = tx.Orphans(app)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range uuids {
		if !others[id] {
			if err := c.options.Volumes.Remove(id, ""); err != nil {
				return fmt.Errorf("delete the volumes of %s: %w", app, err)
			}
		}
		if err := c.store.Write(ctx, func(tx *store.Tx) error { return tx.OrphanLeft(id, app, !others[id]) }); err != nil {
			return err
		}
	}
	return nil
}

// forgetApp has all volumes of an app deleted that is being destroyed.
func forgetApp(tx *store.Tx, app platform.App) error {
	err := tx.ForgetVolume(app.UUID, app.ID, "")
	if app.RenamedFrom != "" {
		err = errors.Join(err, tx.ForgetVolume(app.UUID, app.RenamedFrom, ""))
	}
	return err
}
