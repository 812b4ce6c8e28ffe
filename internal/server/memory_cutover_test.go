package server_test

import (
	"context"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (d *memoryDesk) CutoverOf(_ context.Context, caller platform.Caller, id string) (controller.CutoverStatus, error) {
	_, err := d.of(caller, id, platform.RoleViewer)
	return controller.CutoverStatus{}, err
}

func (d *memoryDesk) SetStrategy(_ context.Context, caller platform.Caller, id string, words map[string]string) (controller.CutoverStatus, error) {
	if _, err := d.of(caller, id, platform.RoleOperator); err != nil {
		return controller.CutoverStatus{}, err
	}
	var status controller.CutoverStatus
	for key, text := range words {
		if err := status.Strategy.Set(key, text); err != nil {
			return status, err
		}
	}
	return status, nil
}

func (d *memoryDesk) PromoteCutover(_ context.Context, caller platform.Caller, id string) (controller.CutoverStatus, error) {
	return d.noCutover(caller, id)
}

func (d *memoryDesk) AbortCutover(_ context.Context, caller platform.Caller, id string) (controller.CutoverStatus, error) {
	return d.noCutover(caller, id)
}

func (d *memoryDesk) noCutover(caller platform.Caller, id string) (controller.CutoverStatus, error) {
	if _, err := d.of(caller, id, platform.RoleDeployer); err != nil {
		return controller.CutoverStatus{}, err
	}
	return controller.CutoverStatus{}, &platform.UserError{Kind: platform.ErrConflict, Message: "No cutover of " + id + " is under way."}
}
