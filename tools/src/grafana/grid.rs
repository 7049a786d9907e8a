//! Places panels on the board: rows below each other, and each row from left to right and on to the next line.

use serde_json::{Value, json};

use super::panel;
use crate::board::{Board, COLUMNS};

/// The position of the next panel.
#[derive(Default)]
struct Cursor {
    x: u32,
    y: u32,
    /// The height of the highest panel on this line.
    height: u32,
}

impl Cursor {
    /// The position of a panel of this width and height.
    fn place(&mut self, (width, height): (u32, u32)) -> Value {
        if self.x + width > COLUMNS {
            self.end_line();
        }
        let place = json!({"h": height, "w": width, "x": self.x, "y": self.y});
        self.x += width;
        self.height = self.height.max(height);
        place
    }

    fn end_line(&mut self) {
        (self.x, self.y, self.height) = (0, self.y + self.height, 0);
    }
}

/// All panels and the headings of their rows, numbered.
pub fn panels(board: &Board) -> Vec<Value> {
    let mut cursor = Cursor::default();
    let mut panels: Vec<Value> = Vec::new();
    for row in &board.rows {
        cursor.end_line();
        let place = cursor.place((COLUMNS, 1));
        panels.push(json!({
            "collapsed": false, "gridPos": place, "id": panels.len() + 1, "panels": [], "title": row.title, "type": "row",
        }));
        cursor.end_line();
        for panel in &row.panels {
            let mut json = panel::json(panel);
            json["gridPos"] = cursor.place(panel.size());
            json["id"] = json!(panels.len() + 1);
            panels.push(json);
        }
    }
    panels
}
