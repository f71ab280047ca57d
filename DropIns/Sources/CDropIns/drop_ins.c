#include "drop_ins.h"
