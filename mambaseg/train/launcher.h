#pragma once

#include <functional>
#include <string>

#include "mambaseg/train/world.h"

namespace mambaseg {

/// Where this process stands among those that its launcher started, by the variables that the launcher set:
/// torchrun's (RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT: where torchrun
/// itself listens there, the port behind it), else those of a Slurm step (SLURM_PROCID, SLURM_STEP_NUM_TASKS,
/// SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE, SLURM_STEP_NODELIST, SLURM_JOB_ID; MASTER_ADDR and MASTER_PORT
/// stand above what these give); alone where neither is there. UsageError, which names the variable, for what
/// makes no sense. `variable` gives a variable of the environment, or null.
WorldPlace place_of_process(const std::function<const char*(const char*)>& variable);

/// The first host of a list as Slurm writes it: "node03" of "node[03-05,9],other".
std::string first_host(const std::string& node_list);

}  // namespace mambaseg
