#include "CRocksShim.h"
